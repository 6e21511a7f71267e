"""Crew: a few threads that work side by side through a list; nothing they do outlives whoever asked for it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_LEAVE_S = 2.0
"""How long a thread may take to leave when something went wrong; then it is left to end with the process."""


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, threads: int, ahead: int | None = None
) -> Generator[Result, None, None]:
    """What `work` makes of each task, in the order of the tasks; `ahead` (as many as threads) are begun beforehand.

    Raises what `work` and the iterator raise, when that task's turn comes; then no other task is begun. Ended early,
    as by Ctrl-C, it waits a moment for calls of `work` that are under way and no longer.
    """
    crew = _Crew(work, threads)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(crew.begin(task))
            if len(waiting) > (ahead or threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        crew.dismiss()


class _Crew(Generic[Task, Result]):
    """Daemon threads: a process that is told to end does not wait for a store that does not answer."""

    def __init__(self, work: Callable[[Task], Result], threads: int) -> None:
        self._work = work
        self._tasks: SimpleQueue[tuple[Task, Future[Result]] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, name=f"crew-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def begin(self, task: Task) -> Future[Result]:
        future: Future[Result] = Future()
        self._tasks.put((task, future))
        return future

    def dismiss(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + _LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self) -> None:
        while (job := self._tasks.get()) is not None:
            task, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._work(task))
            except BaseException as error:
                future.set_exception(error)
