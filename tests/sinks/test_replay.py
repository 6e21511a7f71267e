"""What a sink is told, and where it goes on."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ten.errors import DataError, SpecError
from ten.sinks.replay import measurements, replay, told_until
from ten.sinks.sink import open_sink
from ten.sinks.tail import Tail
from ten.train.settings import TrainSettings
from tests.sinks.conftest import GrowingRun


class Told:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, float, Mapping[str, float]]] = []

    def write(self, step: int, tokens: int, seconds: float, values: Mapping[str, float]) -> None:
        self.rows.append((step, tokens, seconds, values))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_sink_is_told_each_step_s_numbers_and_its_place(run: GrowingRun, tmp_path: Path) -> None:
    run.add(1, 2)
    sink = Told()
    replay(sink, Tail(run.metrics, 0), tmp_path / "position.json")
    values = {"loss": 2.0, "lr": 0.1, "grad_norm": 1.0, "tokens_per_s": 50.0, "data_wait_s": 0.0}
    assert sink.rows == [(1, 100, 0.5, values), (2, 200, 1.0, values)]
    assert told_until(tmp_path / "position.json", from_step=9) == 2
    assert told_until(tmp_path / "position.json", from_step=1) == 1


def test_a_sink_that_was_told_nothing_is_told_everything(tmp_path: Path) -> None:
    assert told_until(tmp_path / "position.json", from_step=9) == 0
    (tmp_path / "position.json").write_text("?")
    with pytest.raises(DataError, match="delete the folder"):
        told_until(tmp_path / "position.json", from_step=9)


def test_numbers_are_measurements_and_nothing_else() -> None:
    assert measurements({"step": 3, "tokens": 9, "mfu": 0.4, "spike": True, "why": "text", "stored": 2}) == {
        "mfu": 0.4,
        "spike": 1.0,
    }


def test_the_loss_by_context_is_a_measurement_a_bucket() -> None:
    buckets = [{"begin": 0, "end": 4, "tokens": 9, "bits_per_token": 3.5}]
    assert measurements({"step": 3, "held_out_by_context": buckets}) == {"held_out_by_context/0-3": 3.5}


def test_an_unknown_sink_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no sink is called 'pigeon'"):
        open_sink("pigeon", tmp_path, "run", {}, 0)
    assert TrainSettings().sinks == ()
