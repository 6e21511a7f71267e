"""Work done side by side whose results are had in order."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from ten.store.crew import Crew, Job

Task = TypeVar("Task")
Result = TypeVar("Result")
_LEAVING_S = 1.0


def in_order(
    crew: Crew, work: Callable[[Task], Result], tasks: Iterable[Task], *, ahead: int
) -> Generator[Result, None, None]:
    """What `work` makes of each task, in the order of the tasks, of which `ahead` are given to the crew beforehand.

    Raises what `work` and the iterator raise, when that task's turn comes; then no other task is begun. Closed early,
    it waits a moment for what is under way and no longer.
    """
    waiting: deque[Job[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(crew.submit(lambda _, task=task: work(task)))  # type: ignore[misc]
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for job in waiting:
            job.cut()
        deadline = time.monotonic() + _LEAVING_S
        for job in waiting:
            job.finished(max(0.0, deadline - time.monotonic()))
