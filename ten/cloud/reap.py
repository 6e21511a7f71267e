"""Reap: the second line: whatever has outlived its lease is destroyed from outside."""

import logging
import time
from collections.abc import Sequence

from ten.cloud.api import Api
from ten.cloud.ending import ASK_EVERY_S, PROOF_S, try_to_destroy
from ten.cloud.machines import Droplet

log = logging.getLogger(__name__)
_UNDATED_S = 24 * 3600.0
"""A droplet of ours without a lease was tagged by hand; it is left alone so long."""


def overdue(droplets: Sequence[Droplet], now: float) -> list[Droplet]:
    """Those whose lease is over, or that never had one and are old."""
    return [one for one in droplets if now > (one.created + _UNDATED_S if one.expires is None else one.expires)]


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
