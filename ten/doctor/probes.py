"""Probes: folders that are there while something is tried in them, and are gone afterwards with all that was tried."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ten.store.durable import writing

_NAME = ".doctor-"


@contextmanager
def borrowed(folder: Path) -> Iterator[Path]:
    """The folder, made where it was not there; it and its parents go again if they did not come to hold anything."""
    folder = folder.absolute()
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder
    finally:
        for parent in made:
            if not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()


@contextmanager
def trial_folder(folder: Path) -> Iterator[Path]:
    """A new folder within one that is borrowed, to try things in."""
    with borrowed(folder) as place:
        trial = place / f"{_NAME}{secrets.token_hex(8)}"
        try:
            with writing(trial):
                trial.mkdir()
            yield trial
        finally:
            if trial.exists():
                shutil.rmtree(trial)
