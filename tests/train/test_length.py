"""The length of a run in tokens."""

import pytest

from ten.errors import SpecError
from ten.train.length import run_tokens
from ten.train.settings import TrainSettings


def test_steps_decide_before_tokens_and_tokens_before_epochs() -> None:
    def length(settings: TrainSettings) -> int:
        return run_tokens(settings, step_tokens=64, epoch_tokens=1000)

    assert length(TrainSettings(steps=3, tokens="1M", epochs=2)) == 192
    assert length(TrainSettings(tokens="1M", epochs=2)) == 10**6
    assert length(TrainSettings(epochs=2.5)) == 2500
    assert length(TrainSettings()) == 1000


def test_epochs_of_data_of_unknown_length_are_refused_with_the_cure() -> None:
    with pytest.raises(SpecError, match=r"train\.tokens or train\.steps"):
        run_tokens(TrainSettings(), step_tokens=64, epoch_tokens=None)
