"""When training is called hung, by a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.train.heartbeat import LEAST_S, START_S, TIMES, Heartbeat


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_start_has_a_grace_of_its_own(clock: Clock) -> None:
    beat = Heartbeat(clock=clock)
    clock.now += START_S - 1
    assert beat.seconds_left() == 1
    assert "getting ready" in beat.describe()


def test_quick_steps_are_late_after_two_minutes_and_slow_ones_after_ten_times_their_time(clock: Clock) -> None:
    quick, slow = Heartbeat(clock=clock), Heartbeat(clock=clock)
    for _ in range(5):
        quick.stepped(0.5)
        slow.stepped(60.0)
    assert quick.seconds_left() == LEAST_S == 120
    assert slow.seconds_left() == TIMES * 60.0
    clock.now += 601
    assert slow.seconds_left() < 0
    assert slow.describe() == "watchdog: training for 601 s without a sign of progress, a step takes 60 s"


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=200), st.floats(0.0, 1e4))
def test_one_odd_step_changes_little_and_no_limit_is_below_two_minutes(seconds: list[float], odd: float) -> None:
    clock = Clock()
    beat, other = Heartbeat(clock=clock), Heartbeat(clock=clock)
    for one in [min(seconds)] * 65:
        beat.stepped(one)
        other.stepped(one)
    other.stepped(odd)
    assert beat.seconds_left() == other.seconds_left() >= LEAST_S


def test_a_micro_batch_is_a_sign_of_life(clock: Clock) -> None:
    polled = [clock.now]
    beat = Heartbeat(lambda: polled[0], clock)
    beat.stepped(1.0)
    clock.now += 119
    polled[0] = clock.now
    clock.now += 119
    assert beat.seconds_left() == 1


def test_what_may_take_longer_says_so_and_what_comes_after_starts_afresh(clock: Clock) -> None:
    beat = Heartbeat(clock=clock)
    beat.stepped(1.0)
    clock.now += 100
    with beat.doing("saving a checkpoint", 1000.0):
        clock.now += 999
        assert beat.seconds_left() == 1
        assert beat.describe().startswith("watchdog: saving a checkpoint for 999 s")
    assert beat.seconds_left() == 120
