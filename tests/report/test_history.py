"""Buckets hold what the lines hold, however many there are."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ten.errors import MissingInput
from ten.report.history import BUCKETS, SERIES, read_history


def _write(path: Path, losses: list[float | None], **more: object) -> Path:
    with path.open("w") as file:
        for step, loss in enumerate(losses, 1):
            line = {"step": step, "tokens": 10 * step, "seconds": 0.5 * step, "loss": loss, **more}
            file.write(json.dumps(line) + "\n")
    return path


@pytest.mark.parametrize("count", [1, 2, 7, 1023, 1024, 1025, 3001, 8191, 8193, 20_000])
def test_buckets_keep_extremes_means_and_positions(tmp_path: Path, count: int) -> None:
    losses = list(np.random.default_rng(count).normal(5.0, 1.0, count))
    history = read_history(_write(tmp_path / "metrics.jsonl", losses))
    assert history.lines == count
    assert min(count, BUCKETS) <= len(history.steps) <= 2 * BUCKETS
    assert history.steps[-1] == count
    assert np.all(np.diff(history.steps) > 0)
    assert np.array_equal(history.tokens, 10 * history.steps)
    assert np.array_equal(history.seconds, 0.5 * history.steps)
    extent, begin = history.series["loss"], 0
    for bucket, end in enumerate(history.steps.astype(int)):
        part = losses[begin:end]
        assert extent.low[bucket] == min(part)
        assert extent.high[bucket] == max(part)
        assert extent.mean[bucket] == pytest.approx(sum(part) / len(part))
        begin = end


def test_what_was_not_measured_is_not_there_and_gaps_stay_gaps(tmp_path: Path) -> None:
    history = read_history(_write(tmp_path / "metrics.jsonl", [1.0, None, 3.0]))
    assert list(history.series) == ["loss"]
    assert history.series.keys() <= set(SERIES)
    assert [math.isnan(value) for value in history.series["loss"].mean] == [False, True, False]


def test_a_line_of_another_version_is_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "metrics.jsonl", [1.0, 2.0], new_field={"a": [1]}, rolled_back=None, skipped="loss 9, above 4"
    )
    with path.open("a") as file:
        file.write('{"step": 3, "tok')
    history = read_history(path)
    assert history.lines == 2
    assert [place.step for place in history.marks["skipped"]] == [1, 2]
    assert "rolled_back" not in history.marks


def test_evaluations_are_thinned_evenly_only_when_they_are_thousands(tmp_path: Path) -> None:
    few = read_history(_write(tmp_path / "few.jsonl", [1.0] * 100, held_out_bits_per_byte=2.0))
    assert [place.step for place, _ in few.held_out] == list(range(1, 101))
    many = read_history(_write(tmp_path / "many.jsonl", [1.0] * 30_000, held_out_bits_per_byte=2.0))
    steps = np.array([place.step for place, _ in many.held_out])
    assert len(steps) <= 4096
    assert len(set(np.diff(steps))) == 1


def test_the_newest_evaluation_is_kept_by_context(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_history(_write(path, [1.0] * 3)).by_context == ()
    for bits in (4.0, 2.0):
        bucket = {"begin": 0, "end": 8, "tokens": 5, "bits_per_token": bits}
        more = _write(tmp_path / "more.jsonl", [1.0], held_out_bits_per_byte=1.0, held_out_by_context=[bucket])
        path.write_bytes(path.read_bytes() + more.read_bytes())
    path.write_bytes(path.read_bytes() + _write(tmp_path / "more.jsonl", [1.0]).read_bytes())
    assert [one.bits_per_token for one in read_history(path).by_context] == [2.0]


def test_places_between_buckets_are_interpolated(tmp_path: Path) -> None:
    history = read_history(_write(tmp_path / "metrics.jsonl", [1.0] * 5000))
    place = history.at_step(2501)
    assert (place.step, place.tokens, place.seconds) == (2501, 25010, 1250.5)
    assert history.at_step(0).tokens == 0


def test_no_line_at_all_is_missing_input(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1')
    with pytest.raises(MissingInput):
        read_history(tmp_path / "metrics.jsonl")
