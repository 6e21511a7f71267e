"""The composition root: a job → its attempt, with limits, packer process, record and store around its training."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from ten.attempt import Attempt, bill, held, likely_cursor, mirrored, plan_attempt, recorded
from ten.disk import require_room
from ten.errors import SpecError
from ten.feeding import begin_packer, open_fill
from ten.job import JobSpec
from ten.limits import budgeted, guarded, limited, watched
from ten.preparation import Preparation
from ten.sinks.followers import following
from ten.train.heartbeat import Heartbeat
from ten.train.ranks import number
from ten.train.stacks import keep_stacks
from ten.train.stopping import StopRequest
from ten.train.threads import calm_threads
from ten.trainer import open_training

if TYPE_CHECKING:
    from ten.data.fill import Fill
    from ten.train.mirror import Mirror
    from ten.train.outcome import Outcome
    from ten.train.training import Training


def train(spec: JobSpec) -> "Outcome":
    """Train a job's run to its length, from its newest checkpoint on where there is one.

    Raises Resumable when stopped early with everything saved, and whatever the parts raise.
    """
    if spec.mode == "pack":
        raise SpecError("mode pack does not train; run `ten pack`, or train with --set mode=streaming")
    job, stop = Preparation(spec), StopRequest()
    with ExitStack() as stack:
        stack.enter_context(limited(spec, stop))
        leads = number("LOCAL_RANK", 0) == 0
        started = begin_packer(spec) if leads else None
        if started is not None:
            stack.callback(started.close)
        attempt = plan_attempt(job, number("WORLD_SIZE", 1))
        wants_epoch = job.counts_epochs and not attempt.is_measured
        if leads:
            require_room(job)
        mirror = None
        if number("RANK", 0) == 0:
            stack.enter_context(budgeted(spec, stop, spent=attempt.record.cost, since=attempt.started))
            stack.enter_context(held(attempt.folder))
            mirror = stack.enter_context(mirrored(attempt, spec, stop))
        parts = stack.enter_context(ExitStack())  # closed before the mirror waits for the store
        begin = likely_cursor(attempt, job)
        fill = open_fill(job, leads=leads, estimate=wants_epoch, begin=begin, started=started)
        parts.callback(fill.close)
        packer = started.stacks if started is not None else None
        return _train(job, attempt, fill, stop, mirror, packer, parts)


def _train(
    job: Preparation,
    attempt: Attempt,
    fill: "Fill",
    stop: StopRequest,
    mirror: "Mirror | None",
    packer: Callable[[], str] | None,
    stack: ExitStack,
) -> "Outcome":
    beat = Heartbeat(lambda: stop.polled_at)
    calm_threads(job.spec.train.threads)
    from ten.train.device import named_faults
    from ten.train.distributed import named_losses
    from ten.train.loop import train as train_loop

    with ExitStack() as guards:
        guards.enter_context(named_faults())
        run, attempt = open_training(job, attempt, fill, stop=stop, beat=beat, mirror=mirror, stack=stack)
        if run.world.is_first and not (run.is_done and attempt.record.is_finished):
            _keep_record(job, attempt, run, stop, mirror, stack)
        keep = partial(keep_stacks, attempt.folder, packer=packer)
        guards.enter_context(named_losses(run.world))
        guards.enter_context(stop.handling())
        guards.enter_context(watched(job.spec, stop))
        guards.enter_context(guarded(beat, job.spec, stop, keep))
        return train_loop(run, bill(attempt, job.spec))


def _keep_record(
    job: Preparation,
    attempt: Attempt,
    run: "Training",
    stop: StopRequest,
    mirror: "Mirror | None",
    stack: ExitStack,
) -> None:
    """On rank 0, until `stack` is closed: run.json is kept, and sinks are told."""
    from ten.train.device import device_name

    begun, device = run.position.step, device_name(run.world.device)
    if mirror is not None:
        stop.on_hang(mirror.last_words)
    reached = stack.enter_context(recorded(attempt, job, device, run.world.size, begun, stop))
    stack.callback(lambda: reached.append(run.position.step))
    stop.on_hang(lambda _: reached.append(run.position.step))
    stack.enter_context(following(job.spec.train.sinks, attempt.folder, begun))
    if mirror is not None:
        mirror.note()
