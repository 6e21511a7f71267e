"""The learning rate as a pure function of tokens trained on; no state, so a resume cannot lose it."""

import math
from dataclasses import dataclass
from typing import Literal

from ten.train.settings import TrainSettings, warmup_tokens

_REFERENCE_WIDTH = 128
_REFERENCE_RATE = 2e-3
_WIDEST_RATE = 3e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRate:
    """Linear warm-up to `peak`, then `kind`, ending at `floor` when `total` tokens are consumed.

    wsd stays at the peak until the last `decay` tokens and then falls linearly (warm-up, stable, decay: Hu et al.
    2024, MiniCPM); cosine falls from the end of the warm-up (Loshchilov & Hutter 2017); constant stays.
    """

    kind: Literal["wsd", "cosine", "constant"]
    peak: float
    floor: float
    warmup: int
    decay: int
    total: int

    def __call__(self, tokens: float) -> float:
        """Learning rate at a position in tokens; beyond the end it stays what it was there."""
        if tokens < self.warmup:
            return self.peak * tokens / self.warmup
        if self.kind == "constant":
            return self.peak
        start = self.warmup if self.kind == "cosine" else max(self.warmup, self.total - self.decay)
        done = 0.0 if tokens <= start else min(1.0, (tokens - start) / max(1, self.total - start))
        fallen = done if self.kind == "wsd" else (1.0 - math.cos(math.pi * done)) / 2
        return self.peak - (self.peak - self.floor) * fallen

    def for_step(self, before: int, after: int) -> float:
        """Learning rate of a step that takes the run from `before` to `after` tokens: that of its middle.

        The middle gives neither the first step of a warm-up nor the last step of a decay a rate of zero.
        """
        return self((before + after) / 2)


def open_schedule(settings: TrainSettings, *, total_tokens: int, width: int) -> LearningRate:
    """The schedule a job asks for, over `total_tokens`; the peak comes from the model's `width` where it is unset."""
    peak = settings.learning_rate or rate_for_width(width)
    return LearningRate(
        kind=settings.schedule,
        peak=peak,
        floor=peak * settings.min_lr_ratio,
        warmup=warmup_tokens(settings.warmup, total_tokens),
        decay=round(settings.decay * total_tokens),
        total=total_tokens,
    )


def rate_for_width(width: int) -> float:
    """Peak AdamW learning rate for a model width: 2e-3 at 128, falling as width^-3/4, at most 3e-3.

    2e-3 is what the small models here were tuned at; the exponent follows GPT-3's table (Brown et al. 2020: 6e-4 at
    768, 2e-4 at 2048, 1.6e-4 at 2560), which it stays slightly above.
    """
    return min(_WIDEST_RATE, _REFERENCE_RATE * math.pow(_REFERENCE_WIDTH / width, 0.75))
