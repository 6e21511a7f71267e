"""Random generators, saved and put back."""

import random

import msgspec
import numpy as np
import torch

from ten.train import random_state
from ten.train.random_state import RandomState


def draw() -> tuple[list[float], float, float, float, float]:
    return torch.randn(3).tolist(), np.random.standard_normal(), np.random.rand(), random.gauss(), random.random()


def test_every_generator_goes_on_where_it_was_also_through_json() -> None:
    draw()
    state = random_state.capture()
    expected = draw()
    draw()
    random_state.restore(msgspec.json.decode(msgspec.json.encode(state), type=RandomState))
    assert draw() == expected
