"""Job files: what wins over what, and what a run may change."""

from pathlib import Path

import msgspec
import pytest

from ten.errors import SpecError
from ten.job import JobSpec, load_job, refuse_other_spec


def test_set_wins_over_flags_and_flags_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: file\ntrain: {steps: 1, micro_batch_rows: 3}\ndata: {seq_len: 5}\n")
    spec = load_job(path, {"train.steps": 2, "data.seq_len": 6}, ["data.seq_len=7"])
    assert (spec.name, spec.train.steps, spec.train.micro_batch_rows, spec.data.seq_len) == ("file", 2, 3, 7)


def test_values_are_read_as_yaml_reads_them() -> None:
    sets = ["train.learning_rate=3e-4", "model.selective=false", "checkpoint.every=10m", "train.tokens=10B", "run=null"]
    spec = load_job(None, {}, sets)
    assert spec.train.learning_rate == 3e-4
    assert spec.model.selective is False
    assert spec.checkpoint.every == "10m"
    assert spec.train.tokens == "10B"
    assert spec.run is None


def test_the_store_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEN_STORE", "/somewhere")
    assert JobSpec().store == "/somewhere"
    monkeypatch.setenv("TEN_STORE", "")
    assert JobSpec().store == "ten-data"


def test_a_limit_that_is_no_size_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"data\.cache_limit: .*a size such as 64MiB or 16GB"):
        load_job(None, {}, ["data.cache_limit=much"])
    assert load_job(None, {}, ["data.cache_limit=40000000000"]).data.cache_limit == 4 * 10**10


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        JobSpec().train.steps = 3  # type: ignore[misc]


def test_a_name_cannot_leave_its_folder() -> None:
    with pytest.raises(SpecError, match="command line: name"):
        load_job(None, {"name": "../elsewhere"}, [])


@pytest.mark.parametrize(
    "setting",
    [
        "mode=pretok",
        "train.steps=9",
        "store=x",
        "checkpoint.keep_last=1",
        "data.keep_files=true",
        "data.cache_limit=40GB",
    ],
)
def test_what_may_change_is_told(setting: str) -> None:
    before = msgspec.to_builtins(load_job(None, {}, []))
    after = msgspec.to_builtins(load_job(None, {}, [setting]))
    (change,) = refuse_other_spec(before, after, "run r")
    assert change.startswith(setting.partition("=")[0])


@pytest.mark.parametrize("setting", ["data.seq_len=9", "model.layers=1", "train.beta1=0.5", "data.seed=1"])
def test_what_makes_another_run_is_refused_by_name(setting: str) -> None:
    before = msgspec.to_builtins(load_job(None, {}, []))
    after = msgspec.to_builtins(load_job(None, {}, [setting]))
    field, _, value = setting.partition("=")
    with pytest.raises(SpecError, match=rf"run r was made with {field}=.*has {value}"):
        refuse_other_spec(before, after, "run r")


def test_the_same_data_under_another_path_is_the_same_run() -> None:
    before = msgspec.to_builtins(load_job(None, {"data.dataset": "/here/a.txt"}, []))
    after = msgspec.to_builtins(load_job(None, {"data.dataset": "/there/a.txt"}, []))
    after["data"] |= {"revision": "v2", "split": "train"}
    before["data"]["fingerprint"] = after["data"]["fingerprint"] = "f"
    assert refuse_other_spec(before, after, "run r") == []
    after["data"]["fingerprint"] = "g"
    with pytest.raises(SpecError, match=r"data\.dataset"):
        refuse_other_spec(before, after, "run r")
