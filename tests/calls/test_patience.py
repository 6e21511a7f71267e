"""Claims about what TEN_PATIENCE says and how a call waits."""

import threading
import time

import pytest

from ten.calls.hangup import Hangup, HungUp
from ten.calls.patience import Notices, Patience, Persistence, impatient, read_patience
from ten.calls.retry import Transient
from ten.errors import ServiceUnavailable, SpecError

BRIEF = Patience(connect_s=1, silence_s=1, total_s=1.5)


def _persistence(patience: Patience = BRIEF, hangup: Hangup | None = None) -> Persistence:
    return Persistence(patience, "the list", "Check the network", hangup or Hangup(), Notices())


def test_one_variable_sets_every_deadline() -> None:
    assert read_patience({}) == Patience(connect_s=10, silence_s=20, total_s=300)
    assert read_patience({"TEN_PATIENCE": "30s"}) == Patience(connect_s=10, silence_s=10, total_s=30)
    assert read_patience({"TEN_PATIENCE": "1h"}) == Patience(connect_s=10, silence_s=20, total_s=3600)


def test_who_is_waited_for_gives_up_sooner_unless_the_variable_says_otherwise() -> None:
    with impatient(15.0):
        assert read_patience({}) == Patience(connect_s=5, silence_s=5, total_s=15)
        assert read_patience({"TEN_PATIENCE": "5m"}).total_s == 300
    assert read_patience({}) == Patience()


@pytest.mark.parametrize("text", ["30", "soon", "0s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="TEN_PATIENCE"):
        read_patience({"TEN_PATIENCE": text})


def test_tries_go_on_until_one_succeeds() -> None:
    failures = iter([Transient("dropped"), Transient("dropped")])

    def attempt() -> int:
        for failure in failures:
            raise failure
        return 7

    assert _persistence().insist(attempt) == 7


def test_the_end_of_patience_says_what_failed_last_and_how_often() -> None:
    def attempt() -> None:
        raise Transient("host: dropped")

    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"the list: host: dropped; gave up after \d tries .*30m"):
        _persistence().insist(attempt)
    assert time.monotonic() - began < BRIEF.total_s + 1


def test_the_same_bytes_again_are_no_progress() -> None:
    persistence = _persistence(Patience(connect_s=1, silence_s=1, total_s=1.5))
    persistence.reached(4096)
    time.sleep(0.2)
    left = persistence.left_s()
    persistence.reached(4096)
    assert persistence.left_s() <= left
    persistence.reached(8192)
    assert persistence.left_s() > left


def test_a_pause_can_be_cut_by_another_thread() -> None:
    hangup = Hangup()

    def attempt() -> None:
        raise Transient("busy", wait_s=60)

    threading.Timer(0.1, hangup.cut).start()
    with pytest.raises(HungUp):
        _persistence(Patience(total_s=300), hangup).insist(attempt)
