"""Supply: what making shards cost, and which part of it holds the others up."""

from typing import Literal

import msgspec

Limit = Literal["network", "tokenizer", "disk"]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds spent on making shards, all threads together, and the text that came of it."""

    network_s: float = 0.0
    """Waiting for bytes of the corpus."""
    decode_s: float = 0.0
    """From bytes to documents."""
    tokenize_s: float = 0.0
    """From documents to tokens."""
    disk_s: float = 0.0
    """Writing shards, to the store too."""
    text_bytes: int = 0
    """UTF-8 text that became tokens."""

    def __add__(self, other: "Supply") -> "Supply":
        return Supply(
            network_s=self.network_s + other.network_s,
            decode_s=self.decode_s + other.decode_s,
            tokenize_s=self.tokenize_s + other.tokenize_s,
            disk_s=self.disk_s + other.disk_s,
            text_bytes=self.text_bytes + other.text_bytes,
        )

    def __sub__(self, other: "Supply") -> "Supply":
        """What was spent since `other` was the sum."""
        return Supply(
            network_s=self.network_s - other.network_s,
            decode_s=self.decode_s - other.decode_s,
            tokenize_s=self.tokenize_s - other.tokenize_s,
            disk_s=self.disk_s - other.disk_s,
            text_bytes=self.text_bytes - other.text_bytes,
        )

    @property
    def seconds(self) -> float:
        """All that was spent."""
        return self.network_s + self.decode_s + self.tokenize_s + self.disk_s

    def share(self, limit: Limit) -> float:
        """The part of the seconds that went to one kind; decoding and tokenizing both want cores and count as one."""
        spent = {"network": self.network_s, "tokenizer": self.decode_s + self.tokenize_s, "disk": self.disk_s}[limit]
        return spent / self.seconds if self.seconds else 0.0

    def limit(self) -> Limit | None:
        """Where most of the time went; None where none was spent."""
        kinds: tuple[Limit, ...] = ("network", "tokenizer", "disk")
        most: Limit = max(kinds, key=self.share)
        return most if self.seconds else None
