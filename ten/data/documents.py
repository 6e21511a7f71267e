"""Documents: the texts in a part of a file, in order, whatever the file's format."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from ten.data import jsonl
from ten.data.corpus import SourceFile
from ten.data.text import InvalidText, read_text
from ten.errors import DataError, MissingInput

BATCH_ROWS = 256


def read_documents(
    file: SourceFile,
    part: int = 0,
    parts: int = 1,
    column: str | None = None,
    invalid: InvalidText = "error",
    batch_rows: int = BATCH_ROWS,
) -> Iterator[str | None]:
    """The records of part `part` of `parts` of a file: a text, or None where a record has none.

    Empty texts are yielded as they are. Memory holds one record (Parquet: `batch_rows` of them) at a time. Raises
    DataError naming file and place for what is truncated, undecodable or of the wrong type.
    """
    with _reading(file):
        if file.format == ".parquet":
            from ten.data.parquet import read_parquet  # takes 0.2 s to import

            yield from read_parquet(file, part, parts, cast(str, column), invalid, batch_rows)
        elif file.format.startswith(".jsonl"):
            yield from jsonl.read_jsonl(file, part, parts, cast(str, column), invalid)
        else:
            yield read_text(file, invalid)


def count_records(file: SourceFile, part: int = 0, parts: int = 1, limit: int | None = None) -> int:
    """How many records `read_documents` yields; at `limit` it may stop counting."""
    with _reading(file):
        if file.format == ".parquet":
            from ten.data.parquet import count_rows

            return count_rows(file, part, parts)
        if file.format.startswith(".jsonl"):
            return jsonl.count_lines(file, part, parts, limit)
    return 1


def text_column(file: SourceFile, wanted: str | None) -> str | None:
    """The column that holds a file's text: the wanted one, else `text`, else the only column of strings.

    None for formats without columns; an empty JSONL file agrees with anything. Raises DataError naming the columns
    there are.
    """
    with _reading(file):
        if file.format == ".parquet":
            from ten.data.parquet import columns

            texts, others = columns(file)
        elif file.format.startswith(".jsonl"):
            texts, others = jsonl.keys(file)
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
def _reading(file: SourceFile) -> Iterator[None]:
    """Turn the system's errors while reading a file into ones that say what happened to it."""
    try:
        yield
    except FileNotFoundError:
        raise MissingInput(f"{file.path}: the file has gone since the corpus was listed") from None
    except OSError as error:
        raise MissingInput(f"{file.path}: cannot be read: {error.strerror}; check its permissions and disk") from None
