"""Job files: what wins over what, and what a run may change."""

from pathlib import Path

import msgspec
import pytest

from ten.errors import SpecError
from ten.job import JobSpec, load_job, pack_command, refuse_other_spec


def test_a_setting_read_back_from_json_has_not_changed() -> None:
    saved = {"data": {"fingerprint": "a"}, "secrets": [], "train": {"sinks": ["wandb"]}}
    wanted = {"data": {"fingerprint": "a"}, "secrets": (), "train": {"sinks": ("wandb",)}}
    assert refuse_other_spec(saved, wanted, "run a") == []


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("checkpoint: {keep_last: 2,\n every: m}", "2: checkpoint.every: 'm' is not a duration"),
        ("limits:\n  idle: 3", "2: limits.idle: "),
        ("data:\n  cache_limit: x", "2: data.cache_limit: "),
        ("train:\n  warmup: soon", "2: train.warmup: "),
    ],
)
def test_a_quantity_of_the_wrong_form_is_refused_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as refused:
        load_job(path, {}, [])
    assert str(refused.value).startswith(f"{path}:{said}")


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


def test_what_was_unset_is_said_so_and_how_to_unset_it() -> None:
    before = msgspec.to_builtins(load_job(None, {}, []))
    after = msgspec.to_builtins(load_job(None, {}, ["train.learning_rate=0.01"]))
    with pytest.raises(SpecError) as caught:
        refuse_other_spec(before, after, "run r")
    assert str(caught.value) == (
        "run r was made with train.learning_rate=unset, and this job has 0.01; go on with "
        "--set train.learning_rate=null, or start another run with --set run=NAME"
    )


def test_the_same_data_under_another_path_is_the_same_run() -> None:
    before = msgspec.to_builtins(load_job(None, {"data.dataset": "/here/a.txt"}, []))
    after = msgspec.to_builtins(load_job(None, {"data.dataset": "/there/a.txt"}, []))
    after["data"] |= {"revision": "v2", "split": "train"}
    before["data"]["fingerprint"] = after["data"]["fingerprint"] = "f"
    assert refuse_other_spec(before, after, "run r") == []
    after["data"]["fingerprint"] = "g"
    with pytest.raises(SpecError, match=r"data\.dataset"):
        refuse_other_spec(before, after, "run r")


def test_what_makes_other_data_is_named_with_the_way_back() -> None:
    before = msgspec.to_builtins(load_job(None, {"data.subset_size": 500, "data.revision": "a1"}, []))
    after = msgspec.to_builtins(load_job(None, {"data.subset_size": 400, "data.revision": "b2"}, []))
    before["data"]["fingerprint"], after["data"]["fingerprint"] = "f", "g"
    with pytest.raises(SpecError) as caught:
        refuse_other_spec(before, after, "run r")
    assert str(caught.value) == (
        "run r was made from other data: data.revision: a1 → b2, data.subset_size: 500 → 400; go on with "
        "--revision a1 --set data.subset_size=500, or start another run with --set run=NAME"
    )
    after["data"] |= {"subset_size": 500, "revision": "a1"}
    with pytest.raises(SpecError, match="other data: the files of stdlib have changed; put them back"):
        refuse_other_spec(before, after, "run r")


def test_the_command_that_packs_says_all_that_decides_the_pack() -> None:
    spec = load_job(None, {"data.dataset": "some text.txt"}, ["data.subset_size=1", "data.seed=5"])
    command = pack_command(spec)
    assert "--set data.dataset='some text.txt'" in command
    assert "--set data.subset_size=1" in command
    assert "seed" not in command
