"""Pulling: a shard that the store has comes from there, before anything is tokenized."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ten.data.cache import ShardCache
from ten.data.packer_messages import PackerOrder
from ten.data.supply import Supply
from ten.errors import DataError, MissingInput, ServiceUnavailable, StoreError

_AWAY_S = 60.0
"""How long at least a store that did not answer is left alone by jobs that can do without it."""
_AWAY_SHARE = 10.0
"""So much longer than it kept whoever asked waiting: most of a run is then spent on packing, not on patience."""
_POLL_S = 2.0
_SLOWEST_POLL_S = 10.0
_TELL_S = 300.0
"""How often it is said that another packer is waited for."""

Show = Callable[[NDArray[Any], NDArray[np.uint64]], None]


class Pull:
    """One shard on its way; read by the thread that pulses too."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.bytes = 0
        self._told = 0

    def advance(self, count: int) -> None:
        """So many more bytes are here."""
        self.bytes += count

    def supply(self) -> Supply:
        """What it has cost so far."""
        return Supply(network_s=time.perf_counter() - self._began, pulled_bytes=self.bytes)

    def has_moved(self) -> bool:
        """Always: the store has deadlines of its own."""
        return True


class Puller:
    """Asks the store behind a cache for shards, as a packer's order says. `tell` takes lines for the trainer's log."""

    def __init__(self, cache: ShardCache, order: PackerOrder, tell: Callable[[str], None]) -> None:
        self._cache, self._order, self._tell = cache, order, tell
        self._away_until = 0.0
        self._told_at = time.monotonic()

    def pull(self, unit: int, pull: Pull, show: Show | None = None) -> Supply | None:
        """Have the store's shard in the cache; what it cost, or None where it is to be packed here.

        `show` is given the first tokens as soon as they are here and known to be right. Raises MissingInput and
        DataError where nothing may be packed here, and what the store raises.
        """
        if self._cache.uploads is None or (self._order.may_pack and time.monotonic() < self._away_until):
            return None
        began = time.monotonic()
        try:
            if show is not None:
                self._show_beginning(unit, show)
            if self._find(unit, pull):
                self._cache.uploads.sent.add(unit)
                return pull.supply() + Supply(pulled=1)
        except DataError as error:
            self._excuse(error, f"shard {unit} is made anew")
        except (ServiceUnavailable, StoreError) as error:
            self._leave_alone(error, began)
        if self._order.may_pack:
            return None
        raise MissingInput(
            f"the pack {self._cache.address} has lost a shard: shard {unit} is not there; run "
            f"`{self._order.advice}`, or train with --streaming"
        )

    def send_again(self, unit: int) -> None:
        """Send a shard that lies here unless the store has it: who made it may have been killed before it was sent."""
        uploads, began = self._cache.uploads, time.monotonic()
        if uploads is None or unit in uploads.sent or not self._order.may_pack or began < self._away_until:
            return
        try:
            self._cache.entry(unit)
        except DataError as error:
            self._tell(str(error))
        except (ServiceUnavailable, StoreError) as error:
            self._leave_alone(error, began)

    def _leave_alone(self, error: ServiceUnavailable | StoreError, began: float) -> None:
        """Ask a store that is away no more for a while, the longer the longer it kept whoever asked waiting."""
        away_s = max(_AWAY_S, _AWAY_SHARE * (time.monotonic() - began))
        self._excuse(error, f"shards are made here for the next {away_s:.0f} s")
        self._away_until = time.monotonic() + away_s

    def _find(self, unit: int, pull: Pull) -> bool:
        """Whether the shard is here now; where only the store may have it, another packer is waited for."""
        pause_s = _POLL_S
        while self._cache.find(unit, pull.advance) is None:
            if self._order.may_pack:
                return False
            if not self._is_under_way():  # finished since, perhaps
                return self._cache.find(unit, pull.advance) is not None
            self._tell_wait(unit)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _SLOWEST_POLL_S)
        self._cache.forget(unit)
        return True

    def _is_under_way(self) -> bool:
        pack = self._cache.pack
        return pack.packing() is not None and not pack.has_manifest()

    def _tell_wait(self, unit: int) -> None:
        """Now and then, for all shards that are waited for: nobody here sees whether the other packer lives."""
        if time.monotonic() - self._told_at > _TELL_S:
            self._told_at = time.monotonic()
            self._tell(
                f"shard {unit} of {self._cache.address} is not there yet; if nobody packs it any more, "
                f"run `{self._order.advice}`"
            )

    def _show_beginning(self, unit: int, show: Show) -> None:
        first = self._order.first
        if first is not None and first.unit == unit and first.head_bytes:
            try:
                beginning = self._cache.pack.beginning(first)
            except (DataError, MissingInput) as error:
                self._tell(f"{error}; all of the shard is fetched first")
                return
            show(beginning.tokens, beginning.document_ends)

    def _excuse(self, error: DataError | ServiceUnavailable | StoreError, instead: str) -> None:
        """Say why something else is done; raise where nothing else may be."""
        if not self._order.may_pack and isinstance(error, DataError):
            raise DataError(f"{error}; make it anew with `{self._order.advice}`, or train with --streaming") from None
        if not self._order.may_pack:
            raise error
        self._tell(f"{error}; {instead}")
