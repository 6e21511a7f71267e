"""Savings: what a job that pulled shards is told of the work that it was spared."""

import logging

from ten.data.cache import ShardCache
from ten.data.published import Packing
from ten.data.supply import Supply
from ten.errors import TenError
from ten.store.crew import Crew
from ten.units import counted, format_bytes, format_seconds

log = logging.getLogger(__name__)

_LAST_QUESTION_S = 3.0


def tell_saved(cache: ShardCache, supply: Supply) -> None:
    """Say what was pulled, and what it would have cost to make it."""
    if not supply.pulled:
        return
    pulled, packing = format_bytes(supply.pulled_bytes), _packing(cache)
    made = ""
    if packing is not None and packing.seconds:
        part = supply.pulled / packing.units
        text, seconds = format_bytes(round(packing.text_bytes * part)), format_seconds(packing.seconds * part)
        made = f" instead of {text} of text and {seconds} of packing"
    log.info(
        "%s from %s: %s, %s in %s%s",
        "some of it came" if supply.text_bytes else "nothing was tokenized here: all of it came",
        cache.address, counted(supply.pulled, "shard"), pulled, format_seconds(supply.network_s), made,
    )  # fmt: skip


def _packing(cache: ShardCache) -> Packing | None:
    """What making the pack took; None where the store does not say so at once, for the run is over."""
    asked = Crew(1).submit(lambda _: cache.pack.packing())
    try:
        return asked.result() if asked.finished(_LAST_QUESTION_S) else None
    except TenError:  # what has been trained is none the worse for it
        return None
