"""Small repositories for the stand-in of the hub, laid out like well-known ones. Every builder returns the folder."""

import csv
import functools
import gzip
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.standins.hub_repos import Access

READER = "hf_reader"
"""The token that gated and private repositories let in."""
GPT2 = "openai-community/gpt2"
_END = "<|endoftext|>"
_SENTENCES = 2000


@functools.cache
def _sentences() -> list[str]:
    generator = random.Random(0)
    letters, weights = "etaoinshrdlucmfé", range(16, 0, -1)
    words = ["".join(generator.choices(letters, weights, k=generator.randint(1, 9))) for _ in range(5000)]
    frequency = [1 / (rank + 3) for rank in range(len(words))]
    drawn = (generator.choices(words, frequency, k=generator.randint(4, 20)) for _ in range(_SENTENCES))
    return [" ".join(sentence).capitalize() + "." for sentence in drawn]


def make_texts(count: int, *, seed: int = 0, sentences: int = 4) -> list[str]:
    """Texts that are all different, of about 60 bytes a sentence."""
    generator = random.Random(seed)
    lengths = [generator.randint(1, 2 * sentences) for _ in range(count)]
    return [
        f"{seed}.{row}: " + " ".join(generator.choices(_sentences(), k=length)) for row, length in enumerate(lengths)
    ]


def write_parquet(path: Path, texts: list[str], *, group: int = 100) -> None:
    """Columns text, id, url, score; `group` rows a row group."""
    ids = [f"<urn:{path.stem}:{row}>" for row in range(len(texts))]
    columns = {"text": texts, "id": ids, "url": [f"https://example.org/{name}" for name in ids]}
    scores = pa.array([row / 7 for row in range(len(texts))], pa.float64())
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, "score": scores}), path, row_group_size=group)


def parquet_texts(folder: Path, pattern: str = "**/*.parquet", column: str = "text") -> list[str]:
    """The texts of a repository's Parquet files in the order of their names: what a reader must find."""
    paths = sorted(folder.glob(pattern))
    return [text for path in paths for text in pq.ParquetFile(path).read([column])[column].to_pylist()]


def repository(
    root: Path,
    repo: str,
    card: Mapping[str, Any] | None = None,
    *,
    kind: str = "datasets",
    access: Access | None = None,
) -> Path:
    """A repository with nothing but a README, whose front matter is `card`, and rules of access."""
    folder = root / kind / repo
    folder.mkdir(parents=True)
    if card is not None:
        head = yaml.safe_dump(dict(card), sort_keys=False)
        (folder / "README.md").write_text(f"---\n{head}---\n# {repo}\n", encoding="utf-8")
    if access is not None:
        access.write(folder)
    return folder


def parquet_repository(
    root: Path,
    repo: str,
    files: Mapping[str, int],
    card: Mapping[str, Any] | None = None,
    *,
    group: int = 100,
    sentences: int = 4,
    access: Access | None = None,
) -> Path:
    """A dataset of Parquet files by their names, each with so many rows."""
    folder = repository(root, repo, card, access=access)
    for number, (name, rows) in enumerate(files.items()):
        write_parquet(folder / name, make_texts(rows, seed=number, sentences=sentences), group=group)
    return folder


def fineweb_edu(root: Path, *, files: int = 2, groups: int = 3, rows: int = 100, sentences: int = 4) -> Path:
    """HuggingFaceFW/fineweb-edu: crawls by default, and `sample-10BT` of `files` × `groups` × `rows` texts."""
    paths = {"default": "data/*/*", "sample-10BT": "sample/10BT/*", "CC-MAIN-2024-10": "data/CC-MAIN-2024-10/*"}
    named = {f"sample/10BT/{number:03d}_00000.parquet": groups * rows for number in range(files)}
    named["data/CC-MAIN-2024-10/train-00000-of-00001.parquet"] = rows
    card = {"license": "odc-by", "configs": [_config(name, train=path) for name, path in paths.items()]}
    return parquet_repository(root, "HuggingFaceFW/fineweb-edu", named, card, group=rows, sentences=sentences)


def wikitext(root: Path, *, rows: int = 300) -> Path:
    """Salesforce/wikitext: no default config, three splits each, their sizes in the README."""
    names, splits = ("wikitext-103-raw-v1", "wikitext-2-raw-v1"), {"test": 30, "train": rows, "validation": 20}
    features = [
        {"name": "text", "dtype": "string"}, {"name": "id", "dtype": "string"}, {"name": "url", "dtype": "string"},
        {"name": "score", "dtype": "float64"},
    ]  # fmt: skip
    counts = [{"name": split, "num_bytes": 100 * count, "num_examples": count} for split, count in splits.items()]
    card = {
        "configs": [_config(name, **{split: f"{name}/{split}-*" for split in splits}) for name in names],
        "dataset_info": [{"config_name": name, "features": features, "splits": counts} for name in names],
    }
    files = {f"{name}/{split}-00000-of-00001.parquet": splits[split] for name in names for split in splits}
    return parquet_repository(root, "Salesforce/wikitext", files, card)


def tinystories(root: Path) -> Path:
    """roneneldan/TinyStories: splits by the names of the files alone, and loose .txt files that are none of it."""
    files = {f"data/train-{number:05d}-of-00002-2d5a1467fff1081b.parquet": 200 for number in range(2)}
    files["data/validation-00000-of-00001-869c898b519ad725.parquet"] = 50
    folder = parquet_repository(root, "roneneldan/TinyStories", files, {"license": "cdla-sharing-1.0"})
    for name in ("TinyStories-train.txt", "TinyStories-valid.txt"):
        (folder / name).write_text("\n".join(make_texts(5, seed=9)), encoding="utf-8")
    return folder


def jsonl_gz(root: Path, repo: str = "standin/jsonl") -> Path:
    """Two .jsonl.gz files without a README."""
    folder = repository(root, repo)
    for number in range(2):
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in make_texts(100, seed=number)]
        (folder / f"part-{number}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def csv_files(root: Path, repo: str = "standin/csv") -> Path:
    """train.csv and test.csv with a label in front of the text."""
    folder = repository(root, repo)
    for number, split in enumerate(("test", "train")):
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = enumerate(make_texts(50, seed=number))
            csv.writer(file).writerows([("label", "text"), *((row % 2, text) for row, text in rows)])
    return folder


def script(root: Path, repo: str = "Skylion007/openwebtext", config: str = "plain_text") -> Path:
    """A loading script and nothing else on `main`; Parquet files on the branch that the hub's own converter makes."""
    folder = repository(root, repo, {"license": "cc0-1.0"})
    (folder / f"{folder.name}.py").write_text("raise SystemExit('loading scripts no longer run')\n", encoding="utf-8")
    for number in range(2):
        path = folder / ".branches/refs%2Fconvert%2Fparquet" / config / "train" / f"{number:04d}.parquet"
        write_parquet(path, make_texts(100, seed=number))
    return folder


def gated(root: Path, repo: str = "standin/gated") -> Path:
    """Everybody sees the files' names; only `READER` reads them."""
    access = Access(gated="manual", tokens=(READER,))
    return parquet_repository(root, repo, {"data/train-00000-of-00001.parquet": 100}, {}, access=access)


def private(root: Path, repo: str = "standin/private") -> Path:
    """Only `READER` sees that it is there."""
    access = Access(private=True, tokens=(READER,))
    return parquet_repository(root, repo, {"data/train-00000-of-00001.parquet": 100}, {}, access=access)


def gpt2(root: Path, *, vocabulary: int = 2000) -> Path:
    """openai-community/gpt2, also called gpt2: the same files around a small byte-level BPE."""
    folder = repository(root, GPT2, {"license": "mit"}, kind="models", access=Access(aliases=("gpt2",)))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(make_texts(300), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    size = tokenizer.get_vocab_size()
    _write_json(
        folder / "config.json", {"model_type": "gpt2", "vocab_size": size, "bos_token_id": 0, "eos_token_id": 0}
    )
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END)
    _write_json(folder / "tokenizer_config.json", {**special, "model_max_length": 1024})
    return folder


def _config(name: str, **splits: str) -> dict[str, Any]:
    files = [{"split": split, "path": path} for split, path in splits.items()]
    return {"config_name": name, "data_files": files}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
