"""Settings of training and of checkpoints, as a job file gives them."""

from typing import Any

import pytest

from ten.errors import SpecError
from ten.settings import convert, describe, field_paths
from ten.train.settings import CheckpointSettings, TrainSettings, warmup_tokens


def test_every_field_has_a_default_and_a_description() -> None:
    TrainSettings()
    CheckpointSettings()
    for struct in (TrainSettings, CheckpointSettings):
        for path, field in field_paths(struct).items():
            assert describe(field), path


def test_a_job_file_may_write_whole_numbers_and_counts() -> None:
    tree = {"epochs": 2, "tokens": "10B", "warmup": "10M", "evaluate_every": "30m", "learning_rate": 1}
    settings = convert(tree, TrainSettings, "job.yaml")
    assert settings.epochs == 2.0
    assert warmup_tokens(settings.warmup, 10**10) == 10**7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tokens", "many"), ("tokens", 0), ("evaluate_tokens", "0"), ("evaluate_every", "soon"), ("warmup", "x"),
        ("steps", 0), ("epochs", 0), ("precision", "fp16"), ("beta2", 1.0), ("schedule", "linear"),
        ("optimizer", "sgd"), ("weights", "fp8"), ("z_loss", -1.0),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_the_field_named(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=field):
        convert({field: value}, TrainSettings, "job.yaml")


def test_bf16_weights_without_bf16_products_are_refused() -> None:
    with pytest.raises(SpecError, match=r"train\.weights: bf16.*train\.precision"):
        convert({"weights": "bf16", "precision": "fp32"}, TrainSettings, "job.yaml")


def test_a_wrong_checkpoint_interval_names_its_field() -> None:
    with pytest.raises(SpecError, match=r"checkpoint\.every: 'now and then'"):
        CheckpointSettings(every="now and then")


def test_warmup_is_a_part_below_one_and_a_count_above() -> None:
    assert warmup_tokens(0.1, 1000) == 100
    assert warmup_tokens(300, 1000) == 300
    assert warmup_tokens("2K", 1000) == 1000
    assert warmup_tokens(0, 1000) == 0
