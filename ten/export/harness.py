"""lm-evaluation-harness on a run: its model exported for the moment, loaded as anybody's, scored on benchmarks."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ten.errors import MissingInput, SpecError
from ten.export.folder import export_run
from ten.preparation import Preparation
from ten.runs import Run
from ten.settings import nearest

_LEAST_LENGTH = 2048
"""Tokens of a prompt that are kept at least: a recurrence reads on behind the length it was trained at."""
_BATCH_ROWS = 8


class TaskScores(msgspec.Struct, frozen=True, kw_only=True):
    """What the harness says of one checkpoint."""

    run: str
    checkpoint: str
    harness: str
    """Its version."""
    tasks: dict[str, dict[str, Any]]
    """Metrics by task and by `name,filter`."""
    table: str
    """The same for people."""


def run_tasks(run: Run, names: Sequence[str], *, folder: str | None = None, limit: int | None = None) -> TaskScores:
    """Scores of a run's newest sound checkpoint on tasks; `folder` has further ones, `limit` is of documents a task.

    The text of a task comes from the hub or from where its file says, through the `datasets` library. Raises SpecError
    where the harness is not installed or has no such task, MissingInput where `folder` is none, and what `export_run`
    raises.
    """
    missing = [package for package in ("lm_eval", "transformers", "accelerate") if find_spec(package) is None]
    if missing:
        raise SpecError(f"--tasks: {missing[0]} is not installed; pip install 'ten[eval]'")
    if folder is not None and not Path(folder).is_dir():
        raise MissingInput(f"--tasks-from {folder}: no such folder")
    from lm_eval.tasks import TaskManager

    tasks = TaskManager(include_path=folder)
    for name in names:
        if not tasks.match_tasks([name]):
            raise SpecError(f"--tasks: no task is called {name!r}; {nearest(name, tasks.all_tasks)}")
    with TemporaryDirectory(prefix="ten-eval-") as scratch:
        exported = export_run(run, Path(scratch) / run.record.run)
        found = _evaluate(run, exported.folder, list(names), tasks, limit)
    from lm_eval.utils import make_table

    return TaskScores(
        run=exported.run,
        checkpoint=exported.checkpoint,
        harness=version("lm-eval"),
        tasks={name: _numbers(metrics) for name, metrics in found["results"].items()},
        table=make_table(found),
    )


def _evaluate(run: Run, folder: str, names: list[str], tasks: Any, limit: int | None) -> Any:
    from lm_eval import simple_evaluate

    import ten.hf  # noqa: F401 - transformers then loads the folder without running code of it
    from ten.train.device import open_device, resolve_precision

    job = Preparation(run.job)
    device = open_device(job.spec.train.device)
    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    loaded: dict[str, Any] = {"pretrained": folder, "backend": "causal", "max_length": max(_LEAST_LENGTH, job.seq_len)}
    if resolve_precision(job.spec.train.precision, device) == "bf16":
        loaded["mixed_precision_dtype"] = "bfloat16"
    return simple_evaluate(
        model="hf",
        model_args=loaded,
        tasks=names,
        task_manager=tasks,
        batch_size=_BATCH_ROWS,
        device=str(device),
        limit=limit,
        log_samples=False,
    )


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """What of a task's results is a metric; a standard error that could not be had is None."""
    plain = {name: getattr(value, "item", lambda value=value: value)() for name, value in metrics.items()}
    return {name: None if value == "N/A" else value for name, value in plain.items() if name not in ("alias", "name")}
