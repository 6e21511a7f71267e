"""Tokens per second over a window."""

from ten.train.throughput import Throughput


def test_the_rate_is_that_of_the_recent_window_only() -> None:
    throughput = Throughput(tokens=0, window=2)
    throughput.add(1, 0.0, 100.0)
    throughput.add(101, 100.5, 101.0)
    throughput.add(201, 101.5, 102.0)
    assert throughput.tokens_per_second() == 100.0
    assert throughput.seconds_left(701) == 5.0


def test_a_resumed_run_does_not_count_what_was_trained_before() -> None:
    throughput = Throughput(tokens=10**9)
    assert throughput.tokens_per_second() == 0.0
    assert throughput.seconds_left(2 * 10**9) is None
    throughput.add(10**9 + 30, 50.0, 53.0)
    assert throughput.tokens_per_second() == 10.0


def test_only_the_wait_for_the_first_batch_does_not_count() -> None:
    throughput = Throughput(tokens=0)
    throughput.add(100, 5000.0, 5001.0)
    assert throughput.seconds_left(1100) == 10.0
    throughput.add(200, 5010.0, 5011.0)
    assert throughput.tokens_per_second() == 200 / 11


def test_nothing_is_left_beyond_the_end() -> None:
    throughput = Throughput(tokens=0)
    throughput.add(10, 0.0, 1.0)
    assert throughput.seconds_left(5) == 0.0
