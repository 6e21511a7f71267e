"""Beside: the files of a run that lie beside its checkpoints and go with them to its store and back."""

from collections.abc import Iterator
from pathlib import Path

from ten.train.metrics import lines_until
from ten.train.stacks import STACKS
from ten.train.stored_run import RECORD

METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"
FETCHED = ("tokenizer.json", "corpus.json", STACKS, SAMPLES, METRICS)
"""What another machine needs, or a person wants to see; run.json is read before."""


def contents(folder: Path, step: int | None) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of those that are there; metrics no further than `step`, and none where that is None."""
    for name in (RECORD, *FETCHED):
        path = folder / name
        if not path.exists() or (name == METRICS and step is None):
            continue
        yield name, lines_until(path, step) if name == METRICS and step is not None else path.read_bytes()
