"""Parquet: the texts of a file's row groups, one batch of records in memory at a time."""

import logging
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.parquet

from ten.errors import DataError
from ten.hub.address import is_hub
from ten.text.corpus import SourceFile
from ten.text.flow import Flow
from ten.text.plain import MEND, InvalidText

if TYPE_CHECKING:
    from ten.text.hub_parquet import HubParquet

log = logging.getLogger(__name__)
Texts = Iterator["str | None"]


def read_groups(
    file: SourceFile, part: int, parts: int, column: str, invalid: InvalidText, batch_rows: int, first: int, flow: Flow
) -> Iterator[Texts]:
    """The texts (None for nulls) of part `part` of `parts`, an equal share of the row groups, group by group.

    The first `first` groups of the part are left out unread. A row group that does not decode is a DataError that
    names it; with `flow.skip_bad` it has no texts, is named in a warning and counted in `flow.bad`.
    """
    with _open(file) as (parquet, hub):
        if column not in _text_names(parquet):
            raise DataError(f"{file.path}: no text column {column!r}, which other files of the corpus have")
        groups = _groups(parquet, part, parts)[first:]
        with closing(hub.groups(groups, column, flow) if hub else _each(groups)) as ready:
            for group in ready:
                if hub is None and not flow.skip_bad:
                    yield _streamed(file, parquet, group, column, invalid, batch_rows)
                    continue
                batches = _whole(file, parquet, hub, group, column, batch_rows, flow)
                yield (text for batch in batches for text in _texts(batch.column(0), file, group, invalid))


def _each(groups: range) -> Generator[int]:
    yield from groups


def count_rows(file: SourceFile, part: int, parts: int) -> int:
    """Records in a part, from the footer alone."""
    with _open(file) as (parquet, _):
        return sum(parquet.metadata.row_group(group).num_rows for group in _groups(parquet, part, parts))


def columns(file: SourceFile) -> tuple[list[str], list[str]]:
    """Names of the columns that hold text, and of the others."""
    with _open(file) as (parquet, _):
        texts = _text_names(parquet)
        return texts, [name for name in parquet.schema_arrow.names if name not in texts]


def first_group(file: SourceFile) -> tuple[int, int] | None:
    """Records in the first row group, and the bytes it takes in the file, all columns; None for a file without any."""
    with _open(file) as (parquet, _):
        if not parquet.num_row_groups:
            return None
        group = parquet.metadata.row_group(0)
        return group.num_rows, sum(group.column(index).total_compressed_size for index in range(group.num_columns))


@contextmanager
def _open(file: SourceFile) -> "Iterator[tuple[pyarrow.parquet.ParquetFile, HubParquet | None]]":
    """The file with its footer read, and what fetches the rest of it where it lies at the hub."""
    if is_hub(file.path):
        from ten.text.hub_parquet import HubParquet

        hub = HubParquet(file)
        yield hub.parquet, hub
        return
    try:
        parquet = pyarrow.parquet.ParquetFile(file.path, memory_map=False, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.path}: not a whole Parquet file ({_first_line(error)}); fetch it again") from None
    with parquet:
        yield parquet, None


def _text_names(parquet: pyarrow.parquet.ParquetFile) -> list[str]:
    fields = parquet.schema_arrow
    return [field.name for field in fields if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]


def _groups(parquet: pyarrow.parquet.ParquetFile, part: int, parts: int) -> range:
    """Part 0 has the first row group however few there are: what is read first is not empty."""
    groups = parquet.num_row_groups
    return range(-(-groups * part // parts), -(-groups * (part + 1) // parts))


def _streamed(file: SourceFile, parquet: Any, group: int, column: str, invalid: InvalidText, batch_rows: int) -> Texts:
    """The texts of a row group, decoded batch by batch."""
    try:
        for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=[column]):
            yield from _texts(batch.column(0), file, group, invalid)
    except (pa.ArrowException, OSError) as error:
        raise _undecodable(file, group, error) from None


def _whole(
    file: SourceFile, parquet: Any, hub: "HubParquet | None", group: int, column: str, batch_rows: int, flow: Flow
) -> list[Any]:
    """A row group decoded as a whole before any of it is used: what came from the hub is fetched once more if bad."""
    for attempt in range(2 if hub else 1):
        if hub and attempt:
            hub.fetch_again(group, column)
        try:
            return list(parquet.iter_batches(batch_rows, row_groups=[group], columns=[column], use_threads=False))
        except (pa.ArrowException, OSError) as error:
            failure = _undecodable(file, group, error)
    if not flow.skip_bad:
        raise failure
    flow.bad += 1
    log.warning("%s; skipped", failure)
    return []


def _undecodable(file: SourceFile, group: int, error: BaseException) -> DataError:
    return DataError(
        f"{file.path}: row group {group} does not decode ({_first_line(error)}); fetch the file again, or leave such "
        "row groups out with --skip-bad"
    )


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
