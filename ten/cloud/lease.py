"""Lease: how long a droplet may live and what that can cost at most. Arithmetic alone."""

import msgspec

from ten.errors import SpecError
from ten.job import LimitSettings
from ten.units import format_seconds, parse_seconds

STARTUP_S = 20 * 60.0
"""From the droplet's birth to the job's start, at most: boot, drivers, the image's way there."""
ENDING_S = 3 * 60.0
"""From the job's end to the droplet's, where nothing goes wrong."""
_MARGIN_S = 10.0
"""By which the job's own limit comes before the lease's."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A droplet's time."""

    created: float
    """Unix time, of the request."""
    deadline: float
    """When its job is stopped."""
    expires: float
    """When the droplet is gone; whoever finds it later may destroy it."""
    price_per_hour: float
    """Dollars."""
    stop_grace_s: float

    @property
    def dollars(self) -> float:
        """The worst case: every second of it."""
        return self.price_per_hour * (self.expires - self.created) / 3600

    def job_budget(self, max_cost: float, spent: float, now: float) -> float:
        """`max_cost` for a job that begins now, less what the machine costs before it begins and after it ends.

        Some seconds' worth above what is `spent` at least, so that it begins: the deadline holds all the same.
        """
        around_s = max(0.0, now - self.created) + self.stop_grace_s + ENDING_S + _MARGIN_S
        left = max_cost - self.price_per_hour * around_s / 3600
        return max(left, spent + self.price_per_hour * _MARGIN_S / 3600)


def make_lease(limits: LimitSettings, price_per_hour: float, created: float, spent: float = 0.0) -> Lease:
    """The lease of a droplet at a price, where earlier attempts have `spent` so many dollars.

    Raises SpecError for a job without an end, and for one whose budget is used up.
    """
    grace_s = parse_seconds(limits.stop_grace)
    lengths = []
    if limits.max_duration is not None:
        lengths.append(STARTUP_S + parse_seconds(limits.max_duration))
    if limits.max_cost is not None:
        lengths.append(_affordable_s(limits.max_cost, spent, price_per_hour) - grace_s - ENDING_S)
    if not lengths:
        raise SpecError(
            "limits: neither max_duration nor max_cost is set, so this droplet could be billed for ever; "
            "write --set limits.max_duration=6h or --set limits.max_cost=10"
        )
    deadline = created + min(lengths)
    if deadline <= created:
        raise SpecError(
            f"limits.max_cost={limits.max_cost:g}: ${spent:.2f} is spent and the rest does not pay for the end of a "
            f"job on a machine of ${price_per_hour:g} an hour ({format_seconds(grace_s + ENDING_S)}); raise it"
        )
    return Lease(
        created=created,
        deadline=deadline,
        expires=deadline + grace_s + ENDING_S,
        price_per_hour=price_per_hour,
        stop_grace_s=grace_s,
    )


def _affordable_s(max_cost: float, spent: float, price_per_hour: float) -> float:
    return float("inf") if price_per_hour <= 0 else max(0.0, max_cost - spent) / price_per_hour * 3600
