"""Outcome: what a run that reached its length comes to."""

from dataclasses import dataclass
from pathlib import Path

from ten.train.checkpoint import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run that reached its length ended."""

    position: Position
    loss: float | None
    """Nats per token of the last step; None when this attempt had none to take and no metrics were kept."""
    held_out_bits_per_byte: float | None
    checkpoint: Path
    waited_share: float | None
    """Part of this attempt's time in training that went into waiting for data; None when it had no step to take."""
