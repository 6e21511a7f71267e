"""Runs in a store: finding one by id or path, and what generation and evaluation need of it. No torch."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from ten.errors import DataError, MissingInput
from ten.job import JobSpec
from ten.preparation import restored_job
from ten.settings import nearest
from ten.store.durable import write_atomically
from ten.text.tokens import Tokenizer
from ten.train.checkpoint_files import complete
from ten.train.run_record import RunRecord, read_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run's folder and its record."""

    folder: Path
    record: RunRecord

    @property
    def job(self) -> JobSpec:
        """The job it was started with."""
        return restored_job(self.record.spec)

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.folder / "checkpoints"

    def tokenizer(self) -> Tokenizer:
        """The tokenizer it was trained with, kept beside it so that no corpus is needed."""
        path = self.folder / "tokenizer.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Tokenizer)
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(f"{path}: the run's tokenizer cannot be read: {error}") from None


def keep_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Put a run's tokenizer beside it."""
    write_atomically(folder / "tokenizer.json", msgspec.json.encode(tokenizer))


def find_run(name: str | None, store: Path) -> Run:
    """The run with that id or folder; without a name the one that last wrote a checkpoint.

    Raises MissingInput, with the runs that are there, when there is none.
    """
    if name is not None and (Path(name) / "run.json").is_file():
        return _open(Path(name))
    runs = {path.parent.name: path.parent for path in sorted((store / "runs").glob("*/run.json"))}
    if name is not None:
        if name not in runs:
            there = nearest(name, runs) if runs else "there are no runs yet; `ten train` makes one"
            raise MissingInput(f"run {name!r}: not in {store}/runs; {there}")
        return _open(runs[name])
    trained = {folder: _last_checkpoint(folder) for folder in runs.values()}
    newest = max(trained, key=lambda folder: trained[folder], default=None)
    if newest is None or not trained[newest]:
        raise MissingInput(f"{store}/runs: no run has a checkpoint yet; `ten train` makes one")
    return _open(newest)


def _last_checkpoint(folder: Path) -> float:
    return max((path.stat().st_mtime for path in complete(folder / "checkpoints")), default=0.0)


def _open(folder: Path) -> Run:
    record = read_run(folder / "run.json")
    if record is None:
        raise MissingInput(f"{folder}: no run.json; is this a run's folder?")
    return Run(folder=folder, record=record)
