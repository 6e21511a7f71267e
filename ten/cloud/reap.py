"""Reap: the second line: whatever has outlived its lease is destroyed from outside."""

import logging
import time
from collections.abc import Sequence

from ten.cloud.api import Api
from ten.cloud.ending import ASK_EVERY_S, PROOF_S, try_to_destroy
from ten.cloud.machines import Droplet

log = logging.getLogger(__name__)
_UNDATED_S = 24 * 3600.0
"""A droplet of a run without a lease is left alone so long. One that has our tag alone was tagged by hand: `ten up`
names a run with every one."""


def overdue(droplets: Sequence[Droplet], now: float) -> list[Droplet]:
    """Those whose lease is over, or that never had one though they are for a run, and are old."""
    return [one for one in droplets if now > _end(one)]


def _end(droplet: Droplet) -> float:
    if droplet.expires is not None:
        return droplet.expires
    return float("inf") if droplet.run is None else droplet.created + _UNDATED_S


def reap(
    api: Api, *, dry_run: bool = False, within_s: float = PROOF_S, pause_s: float = ASK_EVERY_S
) -> tuple[list[Droplet], list[Droplet]]:
    """Destroy what is overdue: what is gone, and what is still there; with `dry_run` nothing is touched."""
    gone: list[Droplet] = []
    left: list[Droplet] = []
    for droplet in overdue(api.droplets(), time.time()):
        if dry_run:
            left.append(droplet)
        else:
            (gone if try_to_destroy(api, droplet, within_s, pause_s) else left).append(droplet)
    return gone, left
