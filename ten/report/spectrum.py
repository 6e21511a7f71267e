"""Spectrum: the eigenvalues of each layer, read from a checkpoint's weights without torch."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ten.errors import DataError

_Floats = NDArray[np.float64]
_LAYER = re.compile(r"blocks\.(\d+)\.mixer\.phase")
_DECAY_RANGE = 8.0
"""Of the default layer's selective decay: log|λ| = 8 σ(logits) × its fixed part (`ten.model.mixer`)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The K eigenvalues λ = |λ| e^{iω} of one layer, as they are for a token that moves none of them.

    Where a layer is selective, the logits of its decay are then their bias.
    """

    number: int
    log_decay: _Floats
    """log |λ|, (K,), negative."""
    phase: _Floats
    """ω in radians per token, (K,), in (-π, π]."""

    @property
    def half_life(self) -> _Floats:
        """Tokens after which a state has half its magnitude, (K,)."""
        return -math.log(2) / self.log_decay


def read_spectrum(weights: Path, *, selective: bool, input_gate: bool) -> list[Layer]:
    """The layers of a model.safetensors, in order, of a model with those settings; none where it has no eigenvalues.

    Where a decay belongs to a head, each of the head's states has it. Raises DataError for a damaged file.
    """
    try:
        with safe_open(weights, framework="numpy") as file:
            names = set(file.keys())
            numbers = sorted(int(match[1]) for name in names if (match := _LAYER.fullmatch(name)))
            tensors = {
                name: np.asarray(file.get_tensor(name), dtype=np.float64)
                for number in numbers
                for part in ("phase", "log_memory", "decay_logit", "projection.bias")
                if (name := f"blocks.{number}.mixer.{part}") in names
            }
            return [_layer(number, tensors, selective, input_gate) for number in numbers]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{weights}: its eigenvalues cannot be read: {error}") from None


def _layer(number: int, tensors: dict[str, _Floats], selective: bool, input_gate: bool) -> Layer:
    own = f"blocks.{number}.mixer."
    phase = tensors[own + "phase"]
    turned = math.pi - (math.pi - phase) % (2 * math.pi)  # into (-π, π]
    if own + "decay_logit" in tensors:  # the published layer: |λ| = σ(logit)
        return Layer(number, -np.logaddexp(0.0, -tensors[own + "decay_logit"]), turned)
    log_decay = -np.exp(-tensors[own + "log_memory"])
    decays = len(log_decay)
    if (
        selective
    ):  # the last outputs of the layer's one product are the decay's and, where there is one, the input gate's
        bias = tensors[own + "projection.bias"]
        begin = len(bias) - decays * (1 + input_gate)
        log_decay = log_decay * (_DECAY_RANGE / (1.0 + np.exp(-bias[begin : begin + decays])))
    return Layer(number, np.repeat(log_decay, len(phase) // decays), turned)
