"""Opening: a dataset's name → its corpus, here or at the hub, with the text column settled."""

from pathlib import Path

import msgspec

from ten.errors import SpecError
from ten.text.corpus import Corpus, list_corpus
from ten.text.documents import text_column
from ten.text.hub_corpus import hub_name, list_hub_corpus


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
    for file in corpus.files:
        if file.bytes and (found := text_column(file, column)) is not None:
            return msgspec.structs.replace(corpus, text_column=found)
    return corpus
