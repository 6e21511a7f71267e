"""MFU: how much of the peak of known cards a run uses (model FLOPs utilization, PaLM, arXiv 2204.02311, appendix B)."""

from typing import Literal

from ten.hardware import find_gpu
from ten.model.cost import flops_per_token
from ten.model.presets import ModelConfig


def peak_tokens_per_s(
    config: ModelConfig, vocabulary: int, *, card: str, precision: Literal["fp32", "bf16"], ranks: int = 1
) -> float | None:
    """Tokens a second if `ranks` cards did nothing but the model's arithmetic at their dense bf16 peak.

    A rate divided by it is the MFU: recomputed activations are no work of the model's. None for a card that
    `ten.hardware` does not know, and in fp32, whose peak differs: no figure rather than a guess.
    """
    gpu = find_gpu(card)
    if gpu is None or precision != "bf16":
        return None
    return ranks * gpu.bf16_flops / flops_per_token(config, vocabulary)
