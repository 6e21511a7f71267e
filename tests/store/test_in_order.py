"""Work side by side."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from ten.errors import DataError
from ten.store.crew import Crew
from ten.store.in_order import in_order


def test_results_come_in_the_order_of_the_tasks() -> None:
    def work(task: int) -> int:
        time.sleep(0.001 * (5 - task % 5))
        return task * task

    assert list(in_order(Crew(4), work, range(40), ahead=8)) == [task * task for task in range(40)]


def test_no_more_is_begun_than_asked_for() -> None:
    begun = 0

    def tasks() -> Iterator[int]:
        nonlocal begun
        for number in range(1, 100):
            begun = number
            yield number

    with closing(in_order(Crew(2), lambda task: task, tasks(), ahead=3)) as results:
        assert next(results) == 1
        assert begun <= 4


def test_an_error_comes_in_its_turn_and_ends_the_rest() -> None:
    done: list[int] = []

    def work(task: int) -> int:
        if task == 3:
            raise DataError("the fourth")
        done.append(task)
        return task

    results = in_order(Crew(1), work, range(100), ahead=4)
    with pytest.raises(DataError, match="the fourth"):
        for _ in results:
            pass
    assert len(done) < 20


def test_closing_does_not_wait_for_what_does_not_end() -> None:
    held = threading.Event()
    results = in_order(Crew(2), lambda task: held.wait(30) if task else True, range(3), ahead=2)
    assert next(results)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 10
    held.set()
