"""A trainer that waits for data says so, why, and what to do; one that does not is silent."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.data.loader import StepBatch
from ten.data.supply import Supply
from ten.errors import Resumable
from ten.train.checkpoint import Position
from ten.train.loop import train
from ten.train.starvation import Starvation
from ten.train.stopping import StopRequest
from tests.train.tiny import batches, open_training

NETWORK = Supply(network_s=9.0, decode_s=0.5, tokenize_s=0.5, text_bytes=20_000_000)


def warnings(steps: list[tuple[float, float]], supply: Supply | None = None) -> list[str]:
    watch = Starvation(cores=8)
    return [said for seconds, waited in steps if (said := watch.add(seconds, waited, supply))]


def test_the_first_step_of_an_attempt_is_no_starvation() -> None:
    assert warnings([(100.0, 99.0)] + [(1.0, 0.05)] * 500) == []


def test_waits_of_a_tenth_are_borne() -> None:
    assert warnings([(1.0, 0.0)] + [(2.0, 0.19)] * 500) == []


def test_short_waits_are_borne_however_large_their_share() -> None:
    assert warnings([(1.0, 0.0)] + [(0.5, 0.4)] * 12) == []


def test_a_wait_is_forgotten_with_its_window() -> None:
    assert warnings([(1.0, 0.0)] + ([(5.0, 4.0)] + [(1.0, 0.0)] * 100) * 9) == []
    assert len(warnings([(1.0, 0.0)] + [(5.0, 4.0), (5.0, 4.0)] + [(1.0, 0.0)] * 500)) == 1


def test_the_window_has_twenty_steps_even_where_these_are_long() -> None:
    assert warnings([(1.0, 0.0)] + [(30.0, 0.0)] * 19 + [(60.0, 40.0)]) == []
    (said,) = warnings([(1.0, 0.0)] + [(30.0, 0.0)] * 18 + [(90.0, 70.0)])
    assert said.startswith("the trainer waited 11% of the last 630 s for data: ")


def test_it_is_said_again_at_most_every_five_minutes() -> None:
    said = warnings([(1.0, 0.0)] + [(1.0, 0.34)] * 1000)
    assert len(said) == 4
    assert said[-1].startswith("the trainer waited 34% of the last 60 s for data: ")


@pytest.mark.parametrize(
    ("supply", "words"),
    [
        (
            NETWORK,
            r"the network is the limit \(90% of packing is waiting for bytes, and a thread gets through 2\.0 MB/s ",
        ),
        (NETWORK, r"; train on a machine nearer to the data, or run `make pack` once on a cheap machine"),
        (
            Supply(tokenize_s=1.0, text_bytes=4_000_000),
            r"the tokenizer is .*4\.0 MB/s.*data\.pack_threads \(.* 8 cores\)",
        ),
        (Supply(disk_s=1.0), r"the disk is the limit .* put data\.cache_dir, and the store .* faster volume"),
        (Supply(), r"no shard is packed yet, so it cannot be told why; if it goes on, run `make pack`"),
        (None, r"reading the shards is the limit; put data\.cache_dir on a faster volume"),
    ],
)
def test_the_limit_is_named_with_its_cure(supply: Supply | None, words: str) -> None:
    (said,) = warnings([(1.0, 0.0)] + [(2.0, 1.5)] * 20, supply)
    assert re.search(words, said)


def test_what_was_spent_before_the_window_does_not_count() -> None:
    watch = Starvation(cores=8)
    before = Supply(tokenize_s=1000.0)
    for _ in range(200):
        assert watch.add(1.0, 0.0, before) is None
    said = [watch.add(2.0, 1.9, before + NETWORK) for _ in range(20)]
    assert "the network is the limit" in next(text for text in said if text)


class Slow:
    """A clock that stands still but for waits, and the batches that are waited for."""

    def __init__(self, wait: float) -> None:
        self.now, self._wait = 100.0, wait

    def __call__(self) -> float:
        return self.now

    def batches(self, position: Position) -> Iterator[StepBatch]:
        for batch in batches(position):
            self.now += self._wait
            yield batch


def test_a_run_tells_which_share_of_its_time_it_waited(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow(wait=3.0)
    with caplog.at_level(logging.WARNING):
        outcome = train(open_training(tmp_path, steps=4, source=slow.batches, supply=lambda: NETWORK, clock=slow))
    assert outcome.waited_share == 1.0
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("the trainer waited 100% of the last 6 s for data: the network is the limit")
    again = train(open_training(tmp_path, steps=4, source=slow.batches, clock=slow))
    assert again.waited_share is None


def test_the_share_is_of_this_attempts_training(tmp_path: Path) -> None:
    slow = Slow(wait=1.0)
    run = open_training(tmp_path, steps=8, source=slow.batches, clock=slow)
    assert run.waited_share is None
    for _ in range(4):
        run.step(*run.next_batch())
        slow.now += 3.0
    assert run.waited_share == pytest.approx(4 / 13)


def test_a_run_that_is_stopped_tells_its_share_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slow, stop = Slow(wait=1.0), StopRequest()
    run = open_training(tmp_path, steps=8, source=slow.batches, clock=slow, stop=stop)
    run.step(*run.next_batch())
    slow.now += 3.0
    stop.request("SIGTERM")
    with caplog.at_level(logging.INFO), pytest.raises(Resumable):
        train(run)
    assert "waited for data 25.0% of the time" in caplog.text
