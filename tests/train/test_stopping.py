"""Stop requests: signals, polled and interrupting."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ten.train import stopping
from ten.train.stopping import Interrupted, StopRequest


def test_a_signal_sets_the_reason_and_nothing_else() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().handling() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        assert stop.reason == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_reason_stays() -> None:
    stop = StopRequest()
    stop.request("deadline")
    stop.request("budget")
    assert stop.reason == "deadline"


def test_a_second_ctrl_c_interrupts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_ECHO_SECONDS", -1.0)
    with StopRequest().handling(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_an_echo_of_the_first_signal_is_not_a_second_one() -> None:
    with StopRequest().handling() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == "SIGINT"


def test_a_second_sigterm_kills_the_process() -> None:
    program = (
        "import os, signal, time; from ten.train import stopping; stopping._ECHO_SECONDS = -1\n"
        "with stopping.StopRequest().handling():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == -signal.SIGTERM


def test_a_signal_ends_a_wait() -> None:
    with StopRequest().handling() as stop:
        with pytest.raises(Interrupted), stop.interrupting():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        with pytest.raises(Interrupted), stop.interrupting():
            pytest.fail("a stop that was there before the wait must not let it begin")


def test_a_stop_knows_since_when() -> None:
    stop = StopRequest()
    known = [stop.since]
    for reason in ("deadline", "budget"):
        stop.request(reason)
        known.append(stop.since)
    before, since, later = known
    assert before is None
    assert since is not None and since == later
    assert since <= time.monotonic()


def test_a_wait_listens_whether_or_not_somebody_handles_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    alone, inside = StopRequest(), StopRequest()
    with alone.listening():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    with inside.handling():
        with inside.listening():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
    assert (alone.reason, inside.reason) == ("SIGTERM", "SIGTERM")


def test_after_a_signal_that_came_elsewhere_the_next_one_is_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_ECHO_SECONDS", -1.0)
    stop = StopRequest()
    stop.note_signal()
    assert stop()
    with stop.listening(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
