"""Context: how much of its document a prediction can look back on, in buckets of a row; and the held-out loss by it."""

import math

import msgspec

_BUCKETS = 8


class ContextLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss where `begin` to `end` - 1 tokens of the document lie in the row before the token that predicts."""

    begin: int
    end: int
    tokens: int
    """Predictions counted."""
    bits_per_token: float

    @property
    def bits(self) -> float:
        """Of all of them together."""
        return self.bits_per_token * self.tokens

    def __str__(self) -> str:
        return f"{self.begin}-{self.end - 1}: {self.bits_per_token:.3f}"


class HeldOutLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss over a held-out text: in up to eight buckets, each of twice the context of the one before."""

    by_context: tuple[ContextLoss, ...]
    """Without those that no prediction fell into; together all of the text."""
    text_bytes: int

    @property
    def bits(self) -> float:
        """Of the whole text."""
        return math.fsum(bucket.bits for bucket in self.by_context)

    @property
    def bits_per_byte(self) -> float:
        """Comparable between tokenizers, which nats per token are not."""
        return self.bits / self.text_bytes


def bucket_edges(seq_len: int) -> list[int]:
    """0, then contexts that double up to `seq_len`: [0, 4, 8, 16, 32, 64, 128, 256, 512] for 512."""
    return sorted({0, *(seq_len >> halvings for halvings in range(_BUCKETS))})
