"""Where a utilization is from: stated before measured before assumed, and measured by the same model alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ten.errors import SpecError
from ten.model.cost import flops_per_token
from ten.model.presets import PRESETS
from ten.quote.utilization import (
    ASSUMED,
    LEAST_TOKEN_FLOPS,
    Mfu,
    Speed,
    measured_by_runs,
    measured_here,
    state,
    utilization,
)
from ten.store.local import LocalStore
from ten.train.run_record import RunRecord, write_run
from ten.train.settings import TrainSettings

MODEL = PRESETS["tiny"].config


def _run(store: Path, name: str, device: str, values: list[float | None], **spec: Any) -> None:
    model = {"config": "tiny", **msgspec.to_builtins(MODEL), **spec.pop("model", {})}
    record = RunRecord(
        run=name,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        spec={"model": model, "train": {"precision": "auto"}, **spec},
        total_tokens=1,
    )
    started = datetime(2026, 1, 1 + len(values), tzinfo=UTC)
    folder = store / "runs" / name
    folder.mkdir(parents=True)
    write_run(
        folder / "run.json", record.begin(device=device, mode="pretok", world_size=1, from_step=0, started=started)
    )
    lines = [b'{"step":1,"tokens_per_s":200,"mfu":%s,"other":[1]}' % msgspec.json.encode(value) for value in values]
    (folder / "metrics.jsonl").write_bytes(b"torn\n" + b"\n".join(lines) + b'\n{"mfu":0.')


def test_stated_goes_before_measured_before_assumed() -> None:
    measured = {"L40S": Mfu(value=0.31, source="measured", run="r")}
    large, small = LEAST_TOKEN_FLOPS, LEAST_TOKEN_FLOPS - 1
    for precision, cost in (("auto", large), ("fp32", small)):
        known: dict[str, Any] = {"precision": precision, "token_flops": cost}
        assert utilization("L40S", state(0.5), measured, **known) == state(0.5)
        assert utilization("L40S", None, measured, **known) == measured["L40S"]
    assumed = Mfu(value=ASSUMED, source="assumed")
    assert utilization("H100", None, measured, precision="auto", token_flops=large) == assumed
    assert utilization("H100", None, measured, precision="fp32", token_flops=large) is None
    assert utilization("H100", None, measured, precision="auto", token_flops=small) is None


def test_every_preset_but_the_smallest_is_large_enough_to_assume_of() -> None:
    costs = {name: flops_per_token(preset.config, 4096) for name, preset in PRESETS.items()}
    assert [name for name, cost in costs.items() if cost < LEAST_TOKEN_FLOPS] == ["nano"]


@pytest.mark.parametrize("value", [0.0, -1.0, 1.01, float("nan")])
def test_no_card_has_such_a_utilization(value: float) -> None:
    with pytest.raises(SpecError, match="--mfu"):
        state(value)


def test_runs_of_the_same_model_measure_it_by_card(tmp_path: Path) -> None:
    _run(tmp_path, "old", "NVIDIA L40S", [0.1])
    _run(tmp_path, "new", "NVIDIA L40S", [0.2, None, 0.4, 0.3])
    _run(tmp_path, "elsewhere", "NVIDIA H100 80GB HBM3", [0.5], model={"recompute": True})
    _run(tmp_path, "other-model", "NVIDIA H200", [0.9], model={"layers": 3})
    _run(tmp_path, "other-precision", "NVIDIA H200", [0.9], train={"precision": "fp32"})
    _run(tmp_path, "no-card", "Some CPU", [0.9])
    _run(tmp_path, "nothing-measured", "NVIDIA A100-SXM4-80GB", [None])
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "run.json").write_bytes(b"{")
    found = measured_by_runs(LocalStore(tmp_path), MODEL, "auto", "unknown")
    assert found == {
        "L40S": Mfu(value=0.3, source="measured", run="new"),
        "H100": Mfu(value=0.5, source="measured", run="elsewhere"),
    }


def test_a_run_of_the_same_rows_measures_this_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.quote.utilization.processor", lambda: "Some CPU")
    monkeypatch.setattr("ten.quote.utilization.cores", lambda: None)  # as these runs have it
    train = TrainSettings(micro_batch_rows=4)
    rows = {"train": {"precision": "auto", "micro_batch_rows": 4}, "data": {"seq_len": 64}}
    _run(tmp_path, "old", "Some CPU", [0.1], **rows)
    _run(tmp_path, "new", "Some CPU", [0.2, 0.3], **rows)
    _run(tmp_path, "elsewhere", "Other CPU", [0.2] * 3, **rows)
    _run(tmp_path, "other-rows", "Some CPU", [0.2] * 4, **{**rows, "data": {"seq_len": 128}})
    found = measured_here(LocalStore(tmp_path), MODEL, train, 64, "unknown")
    assert found == Speed(tokens_per_s=200.0, run="new")
    assert measured_here(LocalStore(tmp_path), MODEL, TrainSettings(micro_batch_rows=5), 64, "unknown") is None


def test_an_empty_store_measures_nothing(tmp_path: Path) -> None:
    assert measured_by_runs(LocalStore(tmp_path / "none"), MODEL, "auto", "run") == {}
