"""Supply: what making shards cost, and which part of it holds the others up."""

from typing import Literal

import msgspec

Limit = Literal["network", "tokenizer", "disk"]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds spent on making or pulling shards, all threads together, and what came of it."""

    network_s: float = 0.0
    """Waiting for bytes of the corpus, or of shards in the store."""
    decode_s: float = 0.0
    """From bytes to documents."""
    tokenize_s: float = 0.0
    """From documents to tokens."""
    disk_s: float = 0.0
    """Writing shards."""
    text_bytes: int = 0
    """UTF-8 text that became tokens."""
    pulled: int = 0
    """Shards that came from the store."""
    pulled_bytes: int = 0

    def __add__(self, other: "Supply") -> "Supply":
        return Supply(**{field: getattr(self, field) + getattr(other, field) for field in self.__struct_fields__})

    def __sub__(self, other: "Supply") -> "Supply":
        """What was spent since `other` was the sum."""
        return Supply(**{field: getattr(self, field) - getattr(other, field) for field in self.__struct_fields__})

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
