"""Context: how much of its document a prediction can look back on, in buckets of a row."""

import math

import msgspec

_BUCKETS = 8


class ContextLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss where `begin` to `end` - 1 tokens of the document lie in the row before the token that predicts."""

    begin: int
    end: int
    tokens: int
    """Predictions counted."""
    bits_per_token: float | None
    """None where there is none."""

    @property
    def nats(self) -> float:
        """Of all of them together."""
        return (self.bits_per_token or 0.0) * self.tokens * math.log(2)


def bucket_edges(seq_len: int) -> list[int]:
    """0, then contexts that double up to `seq_len`: [0, 4, 8, 16, 32, 64, 128, 256, 512] for 512."""
    return sorted({0, *(seq_len >> halvings for halvings in range(_BUCKETS))})
