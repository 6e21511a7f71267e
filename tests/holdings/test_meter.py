"""Bytes done of a total."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from ten.holdings import meter
from ten.holdings.meter import Stopped, metered


def test_an_object_counts_with_its_size_however_its_bytes_come(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ten")
    with metered("verify", 3 * 2**20) as counted:
        with counted.counting(2**20) as advance:
            advance(2**19)
            advance(2**20)
        with counted.counting(2**20):
            pass
        counted.tell()
    assert "verify: 2.0 MiB of 3.0 MiB, " in caplog.text
    assert " left" in caplog.text


def test_many_threads_may_count(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ten")

    def count(counted: meter.Meter) -> None:
        with counted.counting(1000) as advance:
            for _ in range(1000):
                advance(1)

    with metered("move", 8000) as counted, ThreadPoolExecutor(8) as pool:
        list(pool.map(count, [counted] * 8))
        counted.tell()
    assert "move: 7.8 KiB of 7.8 KiB" in caplog.text


def test_what_still_counts_when_all_is_over_is_ended() -> None:
    with metered("move", 10) as counted:
        pass
    with pytest.raises(Stopped), counted.counting(10) as advance:
        advance(1)
