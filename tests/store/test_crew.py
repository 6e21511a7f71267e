"""Claims about threads that work for others."""

import subprocess
import sys
import threading
import time

import pytest

from ten.calls.hangup import Hangup, HungUp
from ten.store.crew import Crew


def test_work_is_done_side_by_side_and_no_wider_than_the_crew() -> None:
    crew, together = Crew(4), threading.Barrier(4, timeout=10)
    jobs = [crew.submit(lambda _: together.wait()) for _ in range(8)]
    assert sorted(job.result() for job in jobs) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_the_work_raises_is_raised_where_its_result_is_asked_for() -> None:
    def work(_: Hangup) -> None:
        raise KeyError("this")

    job = Crew(1).submit(work)
    with pytest.raises(KeyError, match="this"):
        job.result()


def test_a_job_that_is_cut_ends_where_it_waits_and_one_behind_it_does_not_begin() -> None:
    crew, begun, later = Crew(1), threading.Event(), threading.Event()

    def wait(hangup: Hangup) -> None:
        begun.set()
        hangup.pause(60)

    first, second = crew.submit(wait), crew.submit(lambda _: later.set())
    assert begun.wait(10)
    second.cut()
    first.cut()
    assert first.finished(10)
    assert second.finished(10)
    assert not later.is_set()
    with pytest.raises(SystemExit):
        first.result()


def test_a_crew_goes_on_after_work_that_failed() -> None:
    crew = Crew(2)

    def fail(_: Hangup) -> None:
        raise HungUp

    for _ in range(20):
        crew.submit(fail)
    assert crew.submit(lambda _: 7).result() == 7


def test_idle_threads_end_and_new_ones_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.store.crew._IDLE_S", 0.05)
    crew = Crew(2)
    threads: set[threading.Thread] = set()
    for _ in range(5):
        threads.add(crew.submit(lambda _: threading.current_thread()).result())
        end = time.monotonic() + 10
        while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
            time.sleep(0.02)
        assert not [thread for thread in threads if thread.is_alive()]
    assert len(threads) == 5


def test_a_process_that_ends_does_not_wait_for_its_crew() -> None:
    program = (
        "import sys, threading\nfrom ten.store.crew import Crew\ncrew = Crew(3)\n"
        "[crew.submit(lambda hangup: hangup.pause(60)) for _ in range(6)]\nsys.exit(3)"
    )
    ended = subprocess.run([sys.executable, "-c", program], timeout=20, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (3, "")
