"""Parquet: the texts of a file's row groups, one batch of records in memory at a time."""

from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet

from ten.data.corpus import SourceFile
from ten.data.text import MEND, InvalidText
from ten.errors import DataError


def read_parquet(
    file: SourceFile, part: int, parts: int, column: str, invalid: InvalidText, batch_rows: int
) -> Iterator[str | None]:
    """The texts (None for nulls) of part `part` of `parts`: an equal share of the row groups."""
    with _open(file) as parquet:
        if column not in _text_names(parquet):
            raise DataError(f"{file.path}: no text column {column!r}, which other files of the corpus have")
        for group in _groups(parquet, part, parts):
            try:
                for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=[column]):
                    yield from _texts(batch.column(0), file, group, invalid)
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{file.path}: row group {group} does not decode ({_first_line(error)}); fetch the file again"
                ) from None


def count_rows(file: SourceFile, part: int, parts: int) -> int:
    """Records in a part, from the footer alone."""
    with _open(file) as parquet:
        return sum(parquet.metadata.row_group(group).num_rows for group in _groups(parquet, part, parts))


def columns(file: SourceFile) -> tuple[list[str], list[str]]:
    """Names of the columns that hold text, and of the others."""
    with _open(file) as parquet:
        texts = _text_names(parquet)
        return texts, [name for name in parquet.schema_arrow.names if name not in texts]


def _open(file: SourceFile) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(file.path, memory_map=False)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.path}: not a whole Parquet file ({_first_line(error)}); fetch it again") from None


def _text_names(parquet: pyarrow.parquet.ParquetFile) -> list[str]:
    fields = parquet.schema_arrow
    return [field.name for field in fields if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]


def _groups(parquet: pyarrow.parquet.ParquetFile, part: int, parts: int) -> range:
    groups = parquet.num_row_groups
    return range(groups * part // parts, groups * (part + 1) // parts)


def _texts(values: Any, file: SourceFile, group: int, invalid: InvalidText) -> list[str | None]:
    try:
        return cast("list[str | None]", values.to_pylist())
    except UnicodeDecodeError:
        if invalid == "error":
            raise DataError(f"{file.path}: invalid UTF-8 in row group {group}; {MEND}") from None
    raw = values.cast(pa.large_binary()).to_pylist()
    return [None if text is None else text.decode("utf-8", errors="replace") for text in raw]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
