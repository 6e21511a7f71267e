"""Small corpora, tokenizers and shards for the data tests."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from ten.data.cursor import Cursor
from ten.data.manifest import ShardEntry
from ten.data.pack import Packed, pack_all
from ten.data.recipe import Recipe, make_recipe, subset_units
from ten.data.shards import Shard, ShardHeader, encode_shard
from ten.data.split import Split
from ten.store.memory import MemoryStore
from ten.text.bpe import train_bpe
from ten.text.corpus import SourceFile
from ten.text.documents import read_documents
from ten.text.opening import open_corpus
from ten.text.tokens import Tokenizer, make_tokenizer
from ten.text.units import Part, Unit

PLAIN = "the a tree river walks quietly under over blue no 42 7.5 and"
WORDS = [*PLAIN.split(), "naïve", "日本", "water,", "light;", "“no”", "—", "🙂", "l\n"]


def make_texts(count: int, seed: int = 0, words: int = 40) -> list[str]:
    """Texts of some 200 bytes, all different."""
    generator = random.Random(seed)
    return [
        f"{number} " + " ".join(generator.choices(WORDS, k=generator.randint(1, 2 * words))) for number in range(count)
    ]


@cache
def small_tokenizer(vocabulary: int = 400) -> Tokenizer:
    """A byte-level BPE trained on such texts."""
    return make_tokenizer("small", train_bpe(make_texts(200, seed=1), vocabulary))


def jsonl(texts: Iterable[str | None], column: str = "text") -> bytes:
    """One record a line."""
    return b"".join(json.dumps({column: text}, ensure_ascii=False).encode() + b"\n" for text in texts)


def write_jsonl(path: Path, texts: Iterable[str | None], column: str = "text") -> Path:
    """A .jsonl, .jsonl.gz or .jsonl.zst file, as its name says."""
    raw = jsonl(texts, column)
    if path.suffix == ".gz":
        raw = gzip.compress(raw)
    elif path.suffix == ".zst":
        raw = zstandard.compress(raw)
    path.write_bytes(raw)
    return path


def write_parquet(path: Path, texts: Sequence[str | None], *, group: int = 10, column: str = "text") -> Path:
    """A Parquet file with `group` records a row group."""
    pq.write_table(pa.table({column: pa.array(texts, pa.string())}), path, row_group_size=group)
    return path


def write_texts(folder: Path, texts: Sequence[str]) -> Path:
    """A folder of .txt files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number:05d}.txt").write_bytes(text.encode())
    return folder


def source(path: Path) -> SourceFile:
    """A file as the listing has it."""
    return SourceFile(name=path.name, path=str(path), bytes=path.stat().st_size)


def records(path: Path, column: str = "text", **options: Any) -> list[str | None]:
    """All records of a file."""
    return list(read_documents(source(path), column=column, **options))


def recipe_of(
    path: Path | str, tokenizer: Tokenizer | None = None, subset_size: int | None = None, **options: Any
) -> Recipe:
    """The recipe of a dataset with the small tokenizer."""
    corpus = open_corpus(str(path))
    training = None if subset_size is None else subset_units(corpus, subset_size)
    return make_recipe(corpus, tokenizer or small_tokenizer(), training=training, **options)


def all_training(recipe: Recipe) -> Recipe:
    """A recipe of its own that sets nothing apart."""
    return msgspec.structs.replace(recipe, split=Split(), fingerprint="all" + recipe.fingerprint[3:])


def recipe_of_many(recipe: Recipe, units: int) -> Recipe:
    """A recipe that has so many units, all alike."""
    return msgspec.structs.replace(
        recipe, units=tuple(Unit(index=index, parts=(Part(file=0),)) for index in range(units))
    )


def entries_of(units: int) -> Iterator[ShardEntry]:
    """Entries as a pack of so many units would have them."""
    for unit in range(units):
        yield ShardEntry(
            unit=unit,
            bytes=100 + unit,
            tokens=unit,
            documents=1,
            held_out_tokens=2,
            held_out_documents=3,
            skipped=4,
            bad=5,
            sha256=f"{unit:064x}",
        )


def start_of(recipe: Recipe, seq_len: int = 16, seed: int = 0) -> Cursor:
    """The cursor of a new run."""
    return Cursor(fingerprint=recipe.fingerprint, seed=seed, seq_len=seq_len)


def make_shard_bytes(documents: Sequence[Sequence[int]], *, unit: int = 0, dtype: str = "U16", **header: Any) -> bytes:
    """The file of a shard with these training documents and one held-out document of three tokens."""
    kind = np.dtype("<u2" if dtype == "U16" else "<u4")
    arrays: dict[str, NDArray[Any]] = {
        "tokens": np.array([token for document in documents for token in document], dtype=kind),
        "document_ends": np.cumsum([len(document) for document in documents], dtype="<u8"),
        "held_out_tokens": np.array([1, 2, 0], dtype=kind),
        "held_out_ends": np.array([3], dtype="<u8"),
        "held_out_bytes": np.array([7], dtype="<u8"),
    }
    fields: dict[str, Any] = {"fingerprint": "f" * 64, "tokenizer": "t" * 64, "skipped": 3, "unit": unit, **header}
    return encode_shard(
        ShardHeader(
            dtype="U16" if dtype == "U16" else "U32",
            tokens=len(arrays["tokens"]),
            documents=len(documents),
            held_out_tokens=3,
            held_out_documents=1,
            **fields,
        ),
        arrays,
    )


def documents_of(shard: Shard) -> list[list[int]]:
    """A shard's training documents, each with its end-of-document id."""
    ends = shard.document_ends.tolist()
    return [shard.tokens[begin:end].tolist() for begin, end in zip([0, *ends], ends, strict=False)]


class CountingStore(MemoryStore):
    """A memory store that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__("memory:/")
        self.reads: list[str] = []
        self.writes: list[str] = []

    def read(self, key: str) -> bytes:
        self.reads.append(key)
        return super().read(key)

    def write(self, key: str, data: bytes) -> None:
        self.writes.append(key)
        super().write(key, data)


def pack_into(cache: Any, **options: Any) -> Packed:
    """Pack with the reference engine, which starts at once."""
    return pack_all(cache, engine="tokenizers", **options)


def run_python(code: str, *arguments: str, **environment: str) -> str:
    """What a Python process prints."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Until a condition holds; fails when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(process: int) -> None:
    """kill -9."""
    os.kill(process, signal.SIGKILL)
