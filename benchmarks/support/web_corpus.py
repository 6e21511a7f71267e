"""Web corpus: what FineWeb-Edu and GPT-2's tokenizer look like at the hub, made here for benchmarks.

Row groups of 1000 rows hold about 5.7 MB of text, which take 3.7 MB in a file; 28 of them make a file of 105 MB. The
text means nothing: words of this Python's library by Zipf's law, in sentences, at 4.5 bytes a token of GPT-2.
"""

import json
import re
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from benchmarks.support.web_corpus_names import CONFIG, DATASET, TOKENIZER
from ten.text.tokens import END_OF_DOCUMENT, load_tokenizer
from tests.standins.hub_repos import Access

FOLDER = "sample/10BT"
GROUP_WORDS = 900
"""Mean of a row."""
_SPREAD = 0.8
"""Of the logarithm of a row's words."""
_WORDS_PER_SENTENCE, _WORDS_PER_COMMA, _WORDS_PER_PARAGRAPH = 17, 14, 90

_OTHER = "data/CC-MAIN-2024-10/train-00000-of-00001.parquet"
"""The default config has files too; `datasets` looks at them first."""

_CARD = f"""---
license: odc-by
task_categories:
- text-generation
language:
- en
pretty_name: FineWeb-Edu
configs:
- config_name: default
  data_files:
  - split: train
    path: {_OTHER}
- config_name: {CONFIG}
  data_files:
  - split: train
    path: {FOLDER}/*
---
# FineWeb-Edu, made for a benchmark
"""


def write_web_parquet(root: Path, files: int, groups: int, rows: int = 1000) -> int:
    """The dataset below a hub's folder: `files` files of `groups` row groups of `rows` rows; its bytes of text."""
    folder = root / "datasets" / DATASET
    (folder / FOLDER).mkdir(parents=True)
    (folder / _OTHER).parent.mkdir(parents=True)
    (folder / "README.md").write_text(_CARD, encoding="utf-8")
    random, writer = np.random.default_rng(0), _Writer()
    pyarrow.parquet.write_table(_group(writer, random, 10, first=0), folder / _OTHER)
    text_bytes = 0
    for number in range(files):
        path = folder / FOLDER / f"{number:03}_00000.parquet"
        with pyarrow.parquet.ParquetWriter(path, _SCHEMA) as file:
            for group in range(groups):
                table = _group(writer, random, rows, first=(number * groups + group) * rows)
                text_bytes += sum(map(len, table["text"].to_pylist()))  # letters are bytes: the words are ASCII
                file.write_table(table, row_group_size=rows)
    return text_bytes


def write_tokenizer(root: Path) -> None:
    """GPT-2's tokenizer below a hub's folder, with the files that `AutoTokenizer` asks for."""
    folder = root / "models" / TOKENIZER
    folder.mkdir(parents=True)
    Access(aliases=("gpt2",)).write(folder)
    definition = load_tokenizer("gpt2").definition
    model = json.loads(definition)["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    contents = {
        "tokenizer.json": definition,
        "config.json": json.dumps({"model_type": "gpt2"}),
        "tokenizer_config.json": json.dumps({"model_max_length": 1024, "eos_token": END_OF_DOCUMENT}),
        "vocab.json": json.dumps(model["vocab"], ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")


_SCHEMA = pa.schema(
    [
        ("text", pa.string()), ("id", pa.string()), ("dump", pa.string()), ("url", pa.string()),
        ("file_path", pa.string()), ("language", pa.string()), ("language_score", pa.float64()),
        ("token_count", pa.int64()), ("score", pa.float64()), ("int_score", pa.int64()),
    ]
)  # fmt: skip


class _Writer:
    """Turns random numbers into text."""

    def __init__(self) -> None:
        words = _words()
        self._forms = [form for word in words for form in (f"{word} ", f"{word.capitalize()} ", f"{word}, ")]
        self._forms += [f"{word}. " for word in words] + [f"{word}.\n" for word in words]
        self._words = len(words)
        self._sums = np.cumsum(1 / (np.arange(len(words)) + 2.7))

    def write(self, random: np.random.Generator, count: int) -> list[str]:
        """So many words, each with what follows it."""
        word = np.searchsorted(self._sums, random.random(count) * self._sums[-1])
        end = random.random(count) < 1 / _WORDS_PER_SENTENCE
        first = np.concatenate([[True], end[:-1]])
        comma = random.random(count) < 1 / _WORDS_PER_COMMA
        form = 3 * word + np.where(first, 1, np.where(comma, 2, 0))
        paragraph = random.random(count) < _WORDS_PER_SENTENCE / _WORDS_PER_PARAGRAPH
        form = np.where(end & ~first, 3 * self._words + word + self._words * paragraph, form)
        return list(map(self._forms.__getitem__, form.tolist()))


def _words() -> list[str]:
    """The words of this Python's library, the most frequent first."""
    counts: Counter[str] = Counter()
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        counts.update(re.findall(r"[a-z]{2,}", path.read_text(encoding="utf-8", errors="replace").lower()))
    return [word for word, _ in counts.most_common()]


def _lengths(random: np.random.Generator, rows: int) -> NDArray[np.int64]:
    """Words of each row; their mean is that of every group, as a group's bytes hardly differ."""
    lengths = random.lognormal(0, _SPREAD, rows)
    words: NDArray[np.int64] = np.maximum(20, lengths / lengths.sum() * rows * GROUP_WORDS).astype(np.int64)
    return words


def _group(writer: _Writer, random: np.random.Generator, rows: int, first: int) -> Any:
    """A table of rows numbered from `first` on."""
    lengths = _lengths(random, rows)
    ends = np.cumsum(lengths).tolist()
    words = writer.write(random, ends[-1])
    texts = ["".join(words[begin:end]).rstrip() for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    numbers = range(first, first + rows)
    scores = random.uniform(2.5, 5, rows)
    return pa.table(
        {
            "text": texts,
            "id": [f"<urn:uuid:{random.bytes(16).hex()}>" for _ in numbers],
            "dump": ["CC-MAIN-2024-10"] * rows,
            "url": [f"https://www.example{number % 997}.org/pages/{number}.html" for number in numbers],
            "file_path": [f"s3://crawl/CC-MAIN-2024-10/segments/{number // 50}/warc.gz" for number in numbers],
            "language": ["en"] * rows,
            "language_score": random.uniform(0.65, 1, rows),
            "token_count": lengths * 4 // 3,
            "score": scores,
            "int_score": np.rint(scores).astype(np.int64),
        },
        schema=_SCHEMA,
    )
