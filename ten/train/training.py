"""Training: one attempt of a run, with all that the loop moves and where it stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ten.data.rows import rows_sha256
from ten.errors import ServiceUnavailable, SpecError, TenError
from ten.train.batches import Batches
from ten.train.checkpoint import Checkpoints, Position
from ten.train.context import HeldOutLoss
from ten.train.evaluate import Scorer
from ten.train.heartbeat import SAVE_S, START_S, Heartbeat
from ten.train.interval import Interval, Timer
from ten.train.mending import Mend, mend_nothing
from ten.train.metrics import MetricsLog, StepMetrics
from ten.train.outcome import Outcome
from ten.train.schedule import LearningRate
from ten.train.starvation import Starvation
from ten.train.step import Stepper, StepResult
from ten.train.stopping import StopRequest
from ten.train.throughput import Throughput

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut
    from ten.data.loader import StepBatch
    from ten.data.supply import Supply
    from ten.train.compilation import Compilation
    from ten.train.samples import Sampler

log = logging.getLogger(__name__)


class Training:
    """What one attempt works with. Every rank has one; rank 0's alone writes.

    `position` is what `checkpoints.restore` gave and `loader` begins there. `total_tokens` is the length of the whole
    run, fixed when it began. `stop` is the one that `stepper` polls. `supply` tells what making shards has cost, for
    the warning that the data is too slow. `peak_tokens_per_s` is the rate at an MFU of 1, where it is known.
    `compilation` takes its turn after each step. `beat` is told what goes on; data may keep training waiting for
    `data_patience_s`. `mend` is told of every step, and may put older weights back.
    """

    def __init__(
        self,
        *,
        stepper: Stepper,
        schedule: LearningRate,
        loader: Iterator[StepBatch],
        held_out: HeldOut | None,
        checkpoints: Checkpoints,
        metrics_path: Path,
        position: Position,
        total_tokens: int,
        evaluate_every: Interval,
        checkpoint_every: Interval,
        stop: StopRequest,
        supply: Callable[[], Supply | None] = lambda: None,
        beat: Heartbeat | None = None,
        data_patience_s: float = 300.0,
        peak_tokens_per_s: float | None = None,
        compilation: Compilation | None = None,
        sampler: Sampler | None = None,
        mend: Mend = mend_nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        now = clock()
        self.position = position
        self.total_tokens = total_tokens
        self.world = stepper.world
        self._stepper = stepper
        self._schedule = schedule
        self._beat = beat or Heartbeat()
        self._batches = Batches(loader, stop, self._beat, data_patience_s, total_tokens, clock)
        self._checkpoints = checkpoints
        self._metrics = MetricsLog(metrics_path, position.step) if self.world.is_first else None
        self._stop = stop
        self._supply = supply
        self._data_patience_s = data_patience_s
        self._peak = peak_tokens_per_s
        self._compilation = compilation
        self._sampler = sampler
        self._mend = mend
        self._clock = clock
        self._began = now - position.seconds
        self._restored = position
        self._waited = 0.0
        self._starvation = Starvation()
        self._throughput = Throughput(position.tokens)
        self._scorer = Scorer(held_out, stepper, evaluate_every, stop, now)
        self._checkpoint = Timer(checkpoint_every, now)

    @property
    def is_done(self) -> bool:
        """Whether the run has trained on all its tokens."""
        return self.position.tokens >= self.total_tokens

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at the recent rate."""
        return self._throughput.seconds_left(self.total_tokens)

    @property
    def waited_share(self) -> float | None:
        """Part of this attempt's time in training that went into waiting for data; None before its first step."""
        seconds = self.position.seconds - self._restored.seconds
        return self._waited / seconds if self.position.step > self._restored.step and seconds > 0 else None

    def next_batch(self) -> tuple[StepBatch | None, float]:
        """The next batch and the seconds it was waited for; no batch when a signal came first, or the data failed.

        Then the weights are sound and worth keeping: all ranks `leave`, and this one for that reason.
        """
        return self._batches.take()

    def step(self, batch: StepBatch | None, waited: float) -> StepMetrics | None:
        """Train on `batch` and advance; None when a stop came first, and then nothing has changed."""
        begun = self._clock()
        after = batch.cursor.tokens if batch else self.position.tokens
        rate = self._schedule.for_step(self.position.tokens, after)
        try:
            result = self._stepper.take(batch, step=self.position.step + 1, learning_rate=rate)
        except SpecError:  # of memory: the weights are sound, and what was trained is worth keeping
            if self.position.step and not self.world.in_step:  # there the others are inside of a collective
                log.error("the device has too little memory after step %d; saved %s", self.position.step, self._save())
            raise
        if result is None or batch is None:
            return None
        now = self._clock()
        step = self.position.step + 1
        spikes, rolled_back = self._mend(step, result.skipped)
        self.position = Position(step=step, cursor=batch.cursor, seconds=now - self._began, spikes=spikes)
        self._throughput.add(self.position.tokens, begun, now)
        self._beat.stepped(now - begun)
        self._note_wait(waited, now - begun)
        if self._compilation is not None:
            with self._beat.doing("compiling", START_S):
                self._compilation.after_step(now - begun, self.seconds_left)
        metrics = self._describe(batch, result, rate, waited)
        return metrics if rolled_back is None else msgspec.structs.replace(metrics, rolled_back=rolled_back)

    def evaluate_if_due(self, metrics: StepMetrics) -> StepMetrics:
        """`metrics` with the held-out loss where one is due and no stop came meanwhile."""
        if not self.world.from_first(self._scorer.is_due(self.position.step, self._clock())):
            return metrics
        score = self._evaluate()
        self._scorer.mark(self._clock())
        return metrics.scored(score)

    def record(self, metrics: StepMetrics) -> None:
        """Append the step to metrics.jsonl."""
        if self._metrics is not None:
            self._metrics.append(metrics)

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint when its interval has passed."""
        if self.world.from_first(self._checkpoint.due(self.position.step, self._clock())):
            self._save()  # all write it where the ranks share out the parameters
            self._checkpoint.mark(self._clock())

    def leave(self) -> TenError:
        """Save the last finished step; the error that says so and sends the process off.

        Resumable, exit code 75; another one where the run has a store and the checkpoint could not be brought there.
        """
        reason = self._stop.reason or "the stop of another rank"
        if self.position.step == 0:
            said = f"stopped by {reason} before the first step, with nothing to save"
            return self._batches.failure or self._checkpoints.farewell(said, self._stop.cure)
        folder = self._save()
        if self.world.is_first and self.waited_share is not None:
            log.info("waited for data %.1f%% of the time", 100 * self.waited_share)
        if (error := self._batches.failure) is not None:
            cure = "; run the same command again to go on" if isinstance(error, ServiceUnavailable) else ""
            log.error("the data failed after step %d; saved %s%s", self.position.step, folder, cure)
        else:
            said = f"stopped by {reason} after step {self.position.step}; saved {folder}"
            error = self._checkpoints.farewell(said, self._stop.cure)
        # A rank that ends early makes torchrun end the others, rank 0 in the middle of its checkpoint.
        self.world.barrier()
        return error

    def finish(self) -> Outcome:
        """The last checkpoint, then the last evaluation; raises Resumable when a stop cuts the evaluation short."""
        folder = self._save()
        last = self._metrics.last() if self._metrics else None
        if last and last.step != self.position.step:
            last = None
        value = last.held_out_bits_per_byte if last else None
        if self.world.from_first(value is None):
            score = self._evaluate()
            if score is None and self._scorer.is_possible:
                raise self.leave()
            value = None if score is None else score.bits_per_byte
            if self._metrics and last:
                self._metrics.amend(last.scored(score))
        self.world.barrier()
        return Outcome(
            position=self.position,
            loss=last.loss if last else None,
            held_out_bits_per_byte=value,
            checkpoint=folder,
            waited_share=self.waited_share,
        )

    def _evaluate(self) -> HeldOutLoss | None:
        with self._beat.doing("evaluating", self._data_patience_s):
            if self._sampler is not None:
                self._sampler.take(self.position.step, self.position.tokens)
            return self._scorer.score()

    def _note_wait(self, waited: float, worked: float) -> None:
        """Count the wait, and warn where waits are too much of the time."""
        self._waited += waited
        warning = self._starvation.add(waited + worked, waited, self._supply())
        if warning and self.world.is_first:
            log.warning(warning)

    def _describe(self, batch: StepBatch, result: StepResult, rate: float, waited: float) -> StepMetrics:
        digests = self.world.gather_digests(batch.row_digests)
        tokens_per_s = self._throughput.tokens_per_second()
        return StepMetrics(
            step=self.position.step,
            tokens=self.position.tokens,
            loss=result.loss,
            lr=rate,
            grad_norm=result.grad_norm,
            tokens_per_s=tokens_per_s,
            mfu=tokens_per_s / self._peak if self._peak else None,
            data_wait_s=waited,
            rows_sha256=rows_sha256(digests, len(batch.micro_batches)),
            seconds=self.position.seconds,
            memory=self._stepper.backward.level,
            skipped=result.skipped,
            stored=self._checkpoints.stored,
        )

    def _save(self) -> Path:
        if self._metrics is not None:
            self._metrics.sync()
        if self.position.step > self._restored.step:
            self.position = msgspec.structs.replace(self.position, seconds=self._clock() - self._began)
        with self._beat.doing("saving a checkpoint", SAVE_S):
            return self._checkpoints.save(self.position)
