"""Foreign formats: CSV, TSV, JSON and Arrow files, which the `datasets` library reads; the whole file is one part."""

import gc
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from ten.errors import DataError, TenError
from ten.hub.address import is_hub
from ten.text.corpus import Corpus, SourceFile
from ten.text.plain import MEND, InvalidText

if TYPE_CHECKING:
    from ten.hub.transport import Transport

_EXACT = {"keep_default_na": False, "na_filter": False}
"""Without these the texts `NA` and `null` of a CSV file would be missing values."""
_PLAIN_JSON = {"on_mixed_types": None, "parse_agent_traces": False, "encoding": "utf8"}
"""Without these a text could come back as the JSON of a text; and `utf8`, unlike `utf-8`, has every byte checked."""
_UNNAMED = "__index_level_"
_BATCH_RECORDS = 256


def read_foreign(file: SourceFile, column: str, invalid: InvalidText = "error") -> Iterator[str | None]:
    """The texts of a local file in order, None for nulls; in CSV and TSV every cell is text as it stands.

    Raises DataError naming the file where it does not decode, has no such column or something else than text in it.
    """
    names: list[str] = []
    if _is_csv(file):  # once one column is chosen, the library no longer shows that the others were misread
        names = [name for kind in foreign_columns(file) for name in kind]
        if not names:
            return
    for table in _tables(file, invalid, column if column in names else None):
        if column not in table.column_names:
            raise DataError(f"{file.path}: no text column {column!r}, which other files of the corpus have")
        yield from _texts(table, column, file)


def foreign_columns(file: SourceFile) -> tuple[list[str], list[str]]:
    """Names of the columns that hold text (or nulls) in the first records, and the others; none for an empty file."""
    import pyarrow as pa

    table = next(_tables(file, "replace"), None)
    if table is None:
        return [], []
    if any(name.startswith(_UNNAMED) for name in table.column_names):
        raise DataError(f"{file.path}: its rows have more fields than its first line has names; mend the first line")
    tests: list[Callable[[Any], bool]] = [pa.types.is_string, pa.types.is_large_string, pa.types.is_null]
    texts = [field.name for field in table.schema if any(test(field.type) for test in tests)]
    return texts, [name for name in table.column_names if name not in texts]


def count_foreign(file: SourceFile, limit: int | None = None) -> int:
    """How many records a file has, by reading it; at `limit` reading stops."""
    count = 0
    for table in _tables(file, "replace"):
        count += table.num_rows
        if limit is not None and count >= limit:
            return limit
    return count


@contextmanager
def open_local(file: SourceFile, transport: "Transport", folder: Path | None = None) -> Iterator[Path]:
    """The file on this disk: itself, or a verified copy of one at the hub that is removed afterwards.

    The copy lies in a temporary folder below `folder` (the system's where None). Raises what `download` raises.
    """
    if not is_hub(file.path):
        yield Path(file.path)
        return
    from ten.text.download import download

    with TemporaryDirectory(prefix="ten-hub-", dir=folder) as temporary:
        one = Corpus(dataset=file.name, slug="one", revision="", files=(file,))
        yield Path(download(one, Path(temporary), transport).files[0].path)


def _is_csv(file: SourceFile) -> bool:
    return file.format in (".csv", ".csv.gz", ".tsv")


def _tables(file: SourceFile, invalid: InvalidText, column: str | None = None) -> Iterator[Any]:
    """The file's records as Arrow tables; of a CSV file all columns with guessed types, or one as text."""
    if Path(file.path).stat().st_size == 0:
        return
    with _reading(file), TemporaryDirectory(prefix="ten-datasets-") as folder:
        plain = Path(folder) / f"data{file.format}"  # a name without letters that are a pattern to the library
        plain.symlink_to(Path(file.path).absolute())
        tables = _load(plain, f"{folder}/cache", file, invalid, column)
        try:
            yield from tables
        except GeneratorExit:
            _drop(tables)
            raise


def _load(path: Path, cache: str, file: SourceFile, invalid: InvalidText, column: str | None) -> Generator[Any]:
    with _library() as library:
        builder, options = _builder(library, file, invalid, column)
        files, streamed = [str(path)], {"split": "train", "streaming": True, "cache_dir": cache}
        records = library.load_dataset(builder, data_files=files, **streamed, **options)
        tables: Generator[Any] = records.with_format("arrow").iter(_BATCH_RECORDS)
    return tables


def _drop(tables: Generator[Any]) -> None:
    """End reading before the end: the library leaves it to the interpreter to close its files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        tables.close()
        gc.collect()


def _builder(library: Any, file: SourceFile, invalid: InvalidText, column: str | None) -> tuple[str, dict[str, Any]]:
    """The library's reader for a format, and what it must be told to give texts as they are."""
    errors = {"encoding_errors": "strict" if invalid == "error" else "replace"}
    if _is_csv(file):
        features = {} if column is None else {"features": library.Features({column: library.Value("string")})}
        return "csv", {"sep": "\t" if file.format == ".tsv" else ",", **_EXACT, **errors, **features}
    return ("arrow", {}) if file.format == ".arrow" else ("json", {**_PLAIN_JSON, **errors})


def _texts(table: Any, column: str, file: SourceFile) -> list[str | None]:
    values = table[column].to_pylist()
    strange = next((value for value in values if not isinstance(value, str | None)), None)
    if strange is not None:
        raise DataError(f"{file.path}: column {column!r} holds {type(strange).__name__}, where text was expected")
    return cast("list[str | None]", values)


@contextmanager
def _library() -> Iterator[Any]:
    """The `datasets` library (takes 1 s to import), kept from the network, from torch and from printing."""
    import datasets
    from datasets import config

    datasets.utils.logging.set_verbosity(50)
    datasets.disable_progress_bars()
    before = config.HF_HUB_OFFLINE, config.TORCH_AVAILABLE
    config.HF_HUB_OFFLINE, config.TORCH_AVAILABLE = True, False
    try:
        yield datasets
    finally:
        config.HF_HUB_OFFLINE, config.TORCH_AVAILABLE = before


@contextmanager
def _reading(file: SourceFile) -> Iterator[None]:
    """Turn what the library raises, which may be anything, into an error that names the file."""
    try:
        yield
    except (TenError, MemoryError):
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{file.path}: invalid UTF-8 ({error.reason}); {MEND}") from None
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{file.path}: cannot be read as {file.format} ({said}); mend it or fetch it again") from None
