"""Documents: the texts in a part of a file, in order, whatever the file's format."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import cast

import msgspec

from ten.errors import DataError, MissingInput
from ten.hub.address import is_hub
from ten.text import foreign, jsonl
from ten.text.corpus import FOREIGN, SourceFile
from ten.text.flow import Flow
from ten.text.plain import InvalidText, read_text

BATCH_ROWS = 256


def read_documents(
    file: SourceFile,
    part: int = 0,
    parts: int = 1,
    column: str | None = None,
    invalid: InvalidText = "error",
    batch_rows: int = BATCH_ROWS,
    flow: Flow | None = None,
) -> Generator[str | None]:
    """The records of part `part` of `parts` of a file: a text, or None where a record has none.

    Empty texts are yielded as they are. Memory holds one record (Parquet: `batch_rows` of them; a Parquet file at the
    hub: a row group's column) at a time. Raises DataError naming file and place for what is truncated, undecodable or
    of the wrong type, and what the hub says.
    """
    with closing(read_segments(file, part, parts, column, invalid, batch_rows, flow=flow)) as segments:
        for segment in segments:
            yield from segment


def read_segments(
    file: SourceFile,
    part: int,
    parts: int,
    column: str | None,
    invalid: InvalidText = "error",
    batch_rows: int = BATCH_ROWS,
    *,
    first: int = 0,
    flow: Flow | None = None,
) -> Generator[Iterator[str | None]]:
    """The same records by segments from number `first` on: what can be read without what lies before it.

    A Parquet file's segments are its row groups; any other part is one segment. Each must be read before the next.
    """
    flow = flow or Flow()
    with _reading(file):
        if file.format == ".parquet":
            from ten.text.parquet import read_groups  # takes 0.2 s to import

            for texts in read_groups(file, part, parts, cast(str, column), invalid, batch_rows, first, flow):
                yield _watched(file, texts)
        elif first:
            return
        elif file.format.startswith(".jsonl"):
            yield _watched(file, jsonl.read_jsonl(file, part, parts, cast(str, column), invalid, flow))
        elif file.format in FOREIGN:
            with _here(file) as local:
                yield _watched(file, foreign.read_foreign(local, cast(str, column), invalid))
        else:
            yield iter([read_text(file, invalid, flow)])


def _watched(file: SourceFile, texts: Iterator[str | None]) -> Iterator[str | None]:
    with _reading(file):
        yield from texts


def count_records(file: SourceFile, part: int = 0, parts: int = 1, limit: int | None = None) -> int:
    """How many records `read_documents` yields; at `limit` it may stop counting."""
    with _reading(file):
        if file.format == ".parquet":
            from ten.text.parquet import count_rows

            return count_rows(file, part, parts)
        if file.format.startswith(".jsonl"):
            return jsonl.count_lines(file, part, parts, limit)
        if file.format in FOREIGN:
            with _here(file) as local:
                return foreign.count_foreign(local, limit)
    return 1


def text_column(file: SourceFile, wanted: str | None) -> str | None:
    """The column that holds a file's text: the wanted one, else `text`, else the only column of strings.

    None for formats without columns; an empty JSONL file agrees with anything. Raises DataError naming the columns
    there are.
    """
    with _reading(file):
        if file.format == ".parquet":
            from ten.text.parquet import columns

            texts, others = columns(file)
        elif file.format.startswith(".jsonl"):
            texts, others = jsonl.keys(file)
        elif file.format in FOREIGN:
            with _here(file) as local:
                texts, others = foreign.foreign_columns(local)
        else:
            return None
    if wanted in texts or not (texts or others):
        return wanted
    there = f"columns of text: {', '.join(texts) or 'none'}; others: {', '.join(others) or 'none'}"
    if wanted is not None:
        raise DataError(f"{file.path}: no text column {wanted!r}; {there}")
    if "text" in texts:
        return "text"
    if len(texts) == 1:
        return texts[0]
    raise DataError(f"{file.path}: no column named 'text'; choose one with --set data.text_column=NAME; {there}")


@contextmanager
def _here(file: SourceFile) -> Iterator[SourceFile]:
    """A file that can only be read as a whole, on this disk; one at the hub is fetched, and removed afterwards."""
    if not is_hub(file.path):
        yield file
        return
    from ten.hub.transport import shared_transport

    with foreign.open_local(file, shared_transport()) as path:
        yield msgspec.structs.replace(file, path=str(path))


@contextmanager
def _reading(file: SourceFile) -> Iterator[None]:
    """Turn the system's errors while reading a file into ones that say what happened to it."""
    if file.is_elsewhere:
        raise MissingInput(
            f"{file.name}: has to be read, and lies on another machine, which has packed it into this store; run the "
            "same command there"
        )
    try:
        yield
    except FileNotFoundError:
        raise MissingInput(f"{file.path}: the file has gone since the corpus was listed") from None
    except OSError as error:
        raise MissingInput(f"{file.path}: cannot be read: {error.strerror}; check its permissions and disk") from None
