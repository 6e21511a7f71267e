"""Runs in a store: finding one by id or path, and what generation and evaluation need of it. No torch."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ten.dataset.place import DEFAULT_CACHE
from ten.errors import DataError, MissingInput
from ten.job import JobSpec
from ten.preparation import restored_job
from ten.settings import nearest
from ten.store.durable import write_atomically
from ten.store.protocol import Store
from ten.text.tokens import Tokenizer
from ten.train.checkpoint_files import SEAL, complete
from ten.train.recovery import recover
from ten.train.run_record import RunRecord, read_run
from ten.train.settings import CheckpointSettings
from ten.train.stored_run import StoredRun


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
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: the run's tokenizer cannot be read: {error}") from None


def keep_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Put a run's tokenizer beside it."""
    write_atomically(folder / "tokenizer.json", msgspec.json.encode(tokenizer))


def run_folder(store: Store, run: str, cache_dir: Path) -> Path:
    """Where a run keeps its record, metrics and checkpoints on this machine: in the store where that is a folder."""
    path = store.local_path(f"runs/{run}")
    if path is not None:
        return path
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", store.url.partition("://")[2]).strip("-.")
    return cache_dir / "runs" / f"{slug}-{hashlib.sha256(store.url.encode()).hexdigest()[:8]}".lstrip("-") / run


def find_run(name: str | None, store: Store, cache_dir: Path | None = None) -> Run:
    """The run with that id or folder; without a name the one that last wrote a checkpoint.

    From a store that is no folder its record, tokenizer and newest checkpoint are brought into `cache_dir` first
    (TEN_CACHE_DIR, else ~/.cache/ten), where they stay. Raises MissingInput, with the runs that are there, when there
    is none, and what `recover` raises.
    """
    if name is not None and (Path(name) / "run.json").is_file():
        return _open(Path(name))
    if store.root is None:
        return _fetched(name, store, cache_dir or Path(os.environ.get("TEN_CACHE_DIR") or DEFAULT_CACHE).expanduser())
    runs = {path.parent.name: path.parent for path in sorted((store.root / "runs").glob("*/run.json"))}
    if name is not None:
        return _open(runs[_known(name, list(runs), store)])
    trained = {run: when for run, folder in runs.items() if (when := _last_checkpoint(folder))}
    return _open(runs[_latest(trained, store)])


def _fetched(name: str | None, store: Store, cache_dir: Path) -> Run:
    if name is not None:
        name = _known(name, list(store.children("runs")), store)
    else:
        saved = {
            found.key.split("/")[1]: found.modified or 0.0
            for found in sorted(store.list("runs/"), key=lambda found: found.modified or 0.0)
            if found.key.endswith(f"/{SEAL}")
        }
        name = _latest(saved, store)
    folder = run_folder(store, name, cache_dir)
    stored = StoredRun(store, name)
    stored.look()
    recover(stored, folder, CheckpointSettings())
    if not complete(folder / "checkpoints"):
        raise MissingInput(f"{store.url}/runs/{name}: no checkpoint yet; `ten train` writes one")
    return _open(folder)


def _known(name: str, runs: list[str], store: Store) -> str:
    if name not in runs:
        there = nearest(name, runs) if runs else "there are no runs yet; `ten train` makes one"
        raise MissingInput(f"run {name!r}: not in {store.url}/runs; {there}")
    return name


def _latest(saved: dict[str, float], store: Store) -> str:
    """The run that last wrote a checkpoint."""
    newest = max(saved, key=lambda run: saved[run], default=None)
    if newest is None:
        raise MissingInput(f"{store.url}/runs: no run has a checkpoint yet; `ten train` makes one")
    return newest


def _last_checkpoint(folder: Path) -> float:
    return max((path.stat().st_mtime for path in complete(folder / "checkpoints")), default=0.0)


def _open(folder: Path) -> Run:
    record = read_run(folder / "run.json")
    if record is None:
        raise MissingInput(f"{folder}: no run.json; is this a run's folder?")
    return Run(folder=folder, record=record)
