"""Bytes of a model's weights and of its optimizer's state, by formula, as `train.optimizer` and `train.weights` say."""

from ten.model.cost import matrix_parameters, parameters
from ten.model.presets import ModelConfig
from ten.train.settings import TrainSettings

_FP32_BYTES = 4
_WEIGHT_BYTES = {"fp32": 4, "bf16": 2}
_STATE_BYTES = {"adamw": 2 * 4.0, "muon": 4.0, "adamw8bit": 2 * (1 + 4 / 256)}
"""Of one weight of a hidden matrix: moments in fp32, or in 8 bits with a scale for every 256 of them."""


def checkpoint_bytes(config: ModelConfig, vocab_size: int, settings: TrainSettings) -> int:
    """Bytes of a checkpoint's tensors, less a step count for each."""
    return weight_bytes(config, vocab_size, settings) + optimizer_bytes(config, vocab_size, settings)


def weight_bytes(config: ModelConfig, vocab_size: int, settings: TrainSettings) -> int:
    """Bytes of the weights: hidden matrices in the type that was chosen, all else in fp32."""
    matrices = matrix_parameters(config)
    return matrices * _WEIGHT_BYTES[settings.weights] + _FP32_BYTES * (parameters(config, vocab_size) - matrices)


def optimizer_bytes(config: ModelConfig, vocab_size: int, settings: TrainSettings) -> int:
    """Bytes of the optimizer's state: the chosen one's for hidden matrices, AdamW's for all else."""
    matrices = matrix_parameters(config)
    rest = parameters(config, vocab_size) - matrices
    return round(matrices * _STATE_BYTES[settings.optimizer] + rest * _STATE_BYTES["adamw"])
