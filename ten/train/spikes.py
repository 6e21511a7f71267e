"""Spikes: steps whose loss or gradient stands out so far that they had better not be taken. Pure."""

from collections import deque
from collections.abc import Iterable
from math import sqrt
from statistics import fmean

import msgspec

WINDOW = 128
"""Steps that a step is compared with; none is judged before as many were taken."""
DEVIATIONS = 6.0
LEAST_RATIO = {"loss": 1.0, "gradient norm": 4.0}
"""Times the mean that a spike is at least. Norms have a long tail, and clipping makes the same step of most of it."""
CROWD, WITHIN = 3, 16
"""So many skipped steps among so many are no accident of the data: the weights are on their way to divergence."""
MOST_ROLLBACKS = 3
_ROUNDING = 1e-6


class SpikeHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered, as a checkpoint keeps it: a run that was stopped judges as one that was not."""

    losses: tuple[float, ...] = ()
    """Nats per token of the last steps, skipped ones too."""
    norms: tuple[float, ...] = ()
    """Their gradients' norms."""
    skipped: tuple[bool, ...] = ()
    rollbacks: int = 0
    """In the whole run."""


class Spikes:
    """Judges each step by those before it: a spike is beyond mean + 6 standard deviations of the last 128, and a
    gradient norm four times their mean as well.

    Spikes count among the steps that later ones are compared with: where losses are higher from now on, because the
    text is, a few steps are skipped and no more.
    """

    def __init__(self, history: SpikeHistory | None = None) -> None:
        history = history or SpikeHistory()
        self._losses = deque(history.losses, WINDOW)
        self._norms = deque(history.norms, WINDOW)
        self._skipped = deque(history.skipped, WITHIN)
        self._rollbacks = history.rollbacks

    @property
    def history(self) -> SpikeHistory:
        """To go on from."""
        return SpikeHistory(
            losses=tuple(self._losses),
            norms=tuple(self._norms),
            skipped=tuple(self._skipped),
            rollbacks=self._rollbacks,
        )

    @property
    def are_a_crowd(self) -> bool:
        """Whether so many of the last steps were spikes that skipping more of them mends nothing."""
        return sum(self._skipped) >= CROWD

    @property
    def is_hopeless(self) -> bool:
        """Whether weights have been put back as often as makes sense."""
        return self._rollbacks >= MOST_ROLLBACKS

    def judge(self, loss: float, norm: float) -> str | None:
        """What stands out of a step that had this loss and gradient norm, in words; None of a usual one."""
        found = [
            words
            for what, value, before in (("loss", loss, self._losses), ("gradient norm", norm, self._norms))
            if (words := _excess(what, value, before)) is not None
        ]
        self._losses.append(loss)
        self._norms.append(norm)
        self._skipped.append(bool(found))
        return "; ".join(found) or None

    def note_rollback(self) -> None:
        """Other weights are judged afresh."""
        self._losses.clear()
        self._norms.clear()
        self._skipped.clear()
        self._rollbacks += 1


def _excess(what: str, value: float, before: Iterable[float]) -> str | None:
    known = list(before)
    if len(known) < WINDOW:
        return None
    mean = fmean(known)
    deviation = sqrt(fmean((one - mean) ** 2 for one in known))  # statistics' own takes ten times as long, every step
    most = max(mean + max(DEVIATIONS * deviation, _ROUNDING * mean), LEAST_RATIO[what] * mean)
    return f"{what} {value:.4g}, above {most:.4g}" if value > most else None
