"""Mending: what follows on steps that were spikes: nothing, older weights put back, or the end of the attempt."""

import logging
from collections.abc import Callable

from ten.errors import TrainingDiverged
from ten.train.checkpoint import Checkpoints
from ten.train.spikes import CROWD, WITHIN, SpikeHistory, Spikes

log = logging.getLogger(__name__)
_HARMLESS = "one now and then is harmless (train.spikes decides what is done about it)"
Mend = Callable[[int, str | None], tuple[SpikeHistory, int | None]]
"""Told of a step and of what it was skipped for; what to remember, and the step whose weights were put back."""


def mend_nothing(_step: int, _skipped: str | None) -> tuple[SpikeHistory, int | None]:
    """For a run that takes all steps."""
    return SpikeHistory(), None


class Mending:
    """Where spikes crowd, older weights are put back if `rolls_back`; on every rank, at the same steps."""

    def __init__(self, spikes: Spikes, checkpoints: Checkpoints, *, rolls_back: bool, tells: bool) -> None:
        self._spikes, self._checkpoints = spikes, checkpoints
        self._rolls_back, self._tells = rolls_back, tells

    def __call__(self, step: int, skipped: str | None) -> tuple[SpikeHistory, int | None]:
        """See `Mend`. Raises TrainingDiverged where spikes crowd and nothing is left to try."""
        put_back = None
        if skipped is not None:
            self._tell("step %d changed no weight: %s; %s", step, skipped, _HARMLESS)
            if self._spikes.are_a_crowd:
                put_back = self._put_back(step, skipped)
        return self._spikes.history, put_back

    def _put_back(self, step: int, skipped: str) -> int:
        before = None
        if self._rolls_back and not self._spikes.is_hopeless:
            before = self._checkpoints.put_back()
        if before is None:
            cure = "L" if self._rolls_back else "Go on with train.spikes=rollback, l"
            raise TrainingDiverged(
                f"step {step}: {CROWD} of the last {WITHIN} steps stood out ({skipped}): the weights are diverging. "
                f"They have not been changed since. {cure}ower train.learning_rate or train.clip_norm in another run, "
                "or take such steps with train.spikes=ignore"
            )
        self._spikes.note_rollback()
        self._tell("step %d: the weights of step %d are put back, and the data goes on", step, before)
        return before

    def _tell(self, words: str, *values: object) -> None:
        if self._tells:
            log.warning(words, *values)
