"""Opening: a dataset's name → its corpus, here or at the hub, with the text column settled."""

from pathlib import Path

import msgspec

from ten.errors import SpecError
from ten.text.corpus import Corpus, SourceFile, list_corpus
from ten.text.documents import text_column
from ten.text.hub_corpus import hub_name, list_hub_corpus
from ten.text.jsonl import is_lines

_AS_LINES = {".json": ".jsonl", ".json.gz": ".jsonl.gz"}
"""What JSON files are when they hold an object a line, as most at the hub do."""


def open_corpus(
    dataset: str,
    column: str | None = None,
    ignoring: Path | None = None,
    *,
    revision: str | None = None,
    split: str | None = None,
) -> Corpus:
    """A dataset's listing with its text column settled by the registry or the first file that has one.

    `revision` and `split` are of a hub dataset; SpecError where another has one. Raises what listing and reading raise.
    """
    hub = hub_name(dataset)
    if hub is None and (revision is not None or split is not None):
        setting = "data.revision" if revision is not None else "data.split"
        raise SpecError(f"{setting}={revision or split!r}: {dataset} is no hub dataset and has none; unset it")
    if hub is None:
        corpus = list_corpus(dataset, ignoring)
    else:
        corpus = list_hub_corpus(hub, revision=revision, split=split, column=column)
        if corpus.text_column is not None:
            return corpus
    corpus = _with_lines(corpus)
    for file in corpus.files:
        if file.bytes and (found := text_column(file, column)) is not None:
            return msgspec.structs.replace(corpus, text_column=found)
    return corpus


def _with_lines(corpus: Corpus) -> Corpus:
    """The corpus with its JSON files read by the line, where the first that is not empty begins like one of lines."""
    files = tuple(_as_lines(file) for file in corpus.files)
    first = next((file for file in files if file.form and file.bytes), None)
    return corpus if first is None or not is_lines(first) else msgspec.structs.replace(corpus, files=files)


def _as_lines(file: SourceFile) -> SourceFile:
    return msgspec.structs.replace(file, form=_AS_LINES.get(file.format, ""))
