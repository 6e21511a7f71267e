"""The training loop: batches become steps, steps become metrics, evaluations and checkpoints, to the end."""

from ten.train.outcome import Outcome
from ten.train.progress import open_progress
from ten.train.spent import Bill, TimeSpent
from ten.train.training import Training


def train(run: Training, bill: Bill | None = None) -> Outcome:
    """Train until the run has its tokens, then save and evaluate a last time; a terminal shows it, and its `bill`.

    When a stop is requested raises Resumable after a checkpoint of the last finished step, or StoreError where that
    did not reach the run's store; and TrainingDiverged, DataError, DiskFull as its parts do. The caller installs the
    signal handlers and closes the loader.
    """
    shown, spent = run.world.is_first, TimeSpent()
    with open_progress(run.total_tokens, run.position.tokens, shown=shown, bill=bill, spent=spent) as progress:
        while not run.is_done:
            batch, waited = run.next_batch()
            spent.add("data", waited)
            metrics = run.step(batch, waited)
            if metrics is None:
                raise run.leave()
            with spent.on("evaluation"):
                metrics = run.evaluate_if_due(metrics)
            run.record(metrics)
            progress.show(metrics, run.seconds_left)
            with spent.on("checkpoints"):
                run.checkpoint_if_due()
        return run.finish()
