"""The command line's vocabulary."""

import pytest

from ten.errors import SpecError
from ten.flags import parse_arguments
from ten.job_flags import job_settings


def _settings(*words: str) -> dict[str, object]:
    return job_settings(parse_arguments(words))


def test_dash_and_underscore_are_the_same_in_every_flag() -> None:
    one = _settings(
        "train", "--gradient_accumulation", "4", "--subset_size=9", "--mixed_precision", "--cache_dir", "a_b"
    )
    two = _settings(
        "train", "--gradient-accumulation", "4", "--subset-size=9", "--mixed-precision", "--cache-dir", "a_b"
    )
    assert one == two
    assert one == {
        "train.gradient_accumulation": 4,
        "data.subset_size": 9,
        "train.precision": "bf16",
        "data.cache_dir": "a_b",
    }


def test_pack_takes_the_flags_of_training_and_shows_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert _settings("pack", "--config", "small", "--epochs", "2") == {"model.config": "small", "train.epochs": 2.0}
    with pytest.raises(SystemExit):
        parse_arguments(["pack", "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: ten pack [JOB.yaml] [options]\n")
    assert "--text-column" in shown and "--full" in shown and "docs/job-file.md" in shown
    assert not [flag for flag in ("--config", "--epochs", "--learning-rate", "--streaming", "--name") if flag in shown]


def test_the_commands_people_already_type_mean_what_they_say() -> None:
    words = (
        "train --config large --dataset finewebedu --streaming --mixed_precision --gradient_accumulation 4 --epochs 1"
    )
    assert _settings(*words.split()) == {
        "model.config": "large",
        "data.dataset": "finewebedu",
        "mode": "streaming",
        "train.precision": "bf16",
        "train.gradient_accumulation": 4,
        "train.epochs": 1.0,
    }
    words = "pack --dataset d --chunk_size 32768 --batch_size 5000 --cache_dir DIR --force"
    assert _settings(*words.split()) == {
        "data.dataset": "d",
        "data.seq_len": 32768,
        "data.batch_size": 5000,
        "data.cache_dir": "DIR",
    }
    assert parse_arguments(words.split()).force


def test_batch_size_counts_rows_in_training_and_records_in_packing() -> None:
    assert _settings("train", "--batch-size", "3") == {"train.micro_batch_rows": 3}
    assert _settings("plan", "--batch-size", "3") == {"train.micro_batch_rows": 3}
    assert _settings("pack", "--batch-size", "3") == {"data.batch_size": 3}


@pytest.mark.parametrize(
    ("flag", "mode"), [("--streaming", "streaming"), ("--pretokenized", "pretok"), ("--full", "full")]
)
def test_modes_have_switches(flag: str, mode: str) -> None:
    assert _settings("train", flag) == {"mode": mode}


def test_hub_datasets_have_flags() -> None:
    assert _settings("train", "--revision", "v1", "--split", "validation", "--skip_bad", "--keep_files") == {
        "data.revision": "v1",
        "data.split": "validation",
        "data.skip_bad": True,
        "data.keep_files": True,
    }
    assert _settings("train", "--skip-bad", "--skip-bad") == {"data.skip_bad": True}


def test_a_subset_may_be_given_with_a_suffix() -> None:
    assert _settings("train", "--subset-size", "10k") == {"data.subset_size": 10_000}
    with pytest.raises(SpecError, match="--subset-size: 'few' is not a count"):
        parse_arguments(["train", "--subset-size", "few"])


def test_flags_are_not_abbreviated() -> None:
    with pytest.raises(SpecError, match="did you mean '--dataset'"):
        parse_arguments(["train", "--datase", "x"])


def test_a_missing_verb_is_an_error() -> None:
    with pytest.raises(SpecError, match="verb"):
        parse_arguments([])


def test_a_flag_of_another_verb_is_refused() -> None:
    with pytest.raises(SpecError, match="--force"):
        parse_arguments(["train", "--force"])
