"""What is said while the trainer waits for data."""

import logging

import pytest

from ten.data.waiting import Waiting


def said(caplog: pytest.LogCaptureFixture, seconds: int, *, is_told: bool = True) -> list[str]:
    now = 1000.0
    waiting = Waiting("the next rows", lambda: f"at {now:.0f}", is_told=is_told, clock=lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(seconds):
            waiting.poll()
            now += 1.0
    return [record.getMessage() for record in caplog.records]


def test_a_long_wait_is_told_after_ten_seconds_and_then_every_thirty(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, 80) == [
        "waited 10 s for the next rows: at 1010",
        "waited 40 s for the next rows: at 1040",
        "waited 70 s for the next rows: at 1070",
    ]


def test_a_short_wait_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    assert not said(caplog, 10)


def test_a_wait_that_holds_nobody_up_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    assert not said(caplog, 80, is_told=False)
