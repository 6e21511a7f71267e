"""What trainer and packer process say to each other: JSON lines over pipes."""

from typing import Literal

import msgspec

from ten.data.manifest import ShardEntry
from ten.data.recipe import Recipe
from ten.data.supply import Supply
from ten.text.documents import BATCH_ROWS


class PackerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The first line a packer process is sent."""

    recipe: Recipe
    store: str
    cache_dir: str | None = None
    threads: int = 1
    engine: str = "auto"
    batch_rows: int = BATCH_ROWS
    estimate: bool = False
    """Whether to say how many tokens an epoch has."""
    slow_start: bool = False
    """Whether to fetch no more than the first rows need until `Release` comes."""
    may_pack: bool = True
    """Whether what the store lacks is packed here; else it is an error, or waited for while another packs it."""
    advice: str = ""
    """The command that packs what is missing."""
    first: ShardEntry | None = None
    """The shard that is read first, as the manifest has it: its first rows can be read before the rest is here."""


class Request(msgspec.Struct, frozen=True, kw_only=True, tag="pack"):
    """Pack or pull one unit; with `grow`, send its tokens while they come."""

    unit: int
    grow: bool = False


class Release(msgspec.Struct, frozen=True, kw_only=True, tag="release"):
    """The trainer has begun: fetch and pack ahead."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a packer process says; `payload` bytes of tokens follow the line of a "grew"."""

    kind: Literal["note", "alive", "epoch", "grew", "paused", "done", "failed"]
    unit: int = -1
    ends: tuple[int, ...] = ()
    payload: int = 0
    tokens: int = 0
    """Of an epoch."""
    supply: Supply | None = None
    """What packing a unit cost; of an "alive" so far."""
    error: str = ""
    message: str = ""
