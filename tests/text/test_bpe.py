"""A trained tokenizer is a pure function of corpus and size."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from ten.errors import DataError
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.text import bpe
from ten.text.bpe import (
    kept_tokenizer,
    publish_tokenizer,
    sample_texts,
    train_bpe,
    trained_path,
    trained_tokenizer,
)
from ten.text.opening import open_corpus
from tests.data.small import make_texts, run_python, write_jsonl

TRAIN = """
import sys
from pathlib import Path
from ten.text.bpe import trained_tokenizer
from ten.text.opening import open_corpus
print(trained_tokenizer(open_corpus(sys.argv[1]), 500, Path(sys.argv[2])).fingerprint)
"""


def test_training_in_other_processes_gives_the_same_tokenizer(corpus_path: Path, tmp_path: Path) -> None:
    own = trained_tokenizer(open_corpus(str(corpus_path)), 500, tmp_path / "own").fingerprint
    for number in ("1", "2"):
        other = run_python(
            TRAIN, str(corpus_path), str(tmp_path / number), PYTHONHASHSEED=number, RAYON_NUM_THREADS=number
        )
        assert other.strip() == own


def test_a_trained_tokenizer_is_kept(corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = open_corpus(str(corpus_path))
    first = trained_tokenizer(corpus, 300, tmp_path)
    assert trained_path(corpus, 300, tmp_path).is_file()
    monkeypatch.setattr(bpe, "train_bpe", None)
    assert trained_tokenizer(corpus, 300, tmp_path) == first
    assert (first.name, first.vocabulary) == ("bpe:300", 300)
    with pytest.raises(TypeError):
        trained_tokenizer(corpus, 301, tmp_path)


def test_another_corpus_has_another_place(corpus_path: Path, tmp_path: Path) -> None:
    other = write_jsonl(tmp_path / "tales.jsonl", make_texts(10))
    paths = {trained_path(open_corpus(str(path)), 300, tmp_path) for path in (corpus_path, other)}
    assert len(paths) == 2


def test_the_sample_is_the_start_of_the_corpus(corpus_path: Path) -> None:
    texts = list(sample_texts(open_corpus(str(corpus_path)), 1000))
    assert texts[:-1] == make_texts(300)[: len(texts) - 1]
    assert make_texts(300)[len(texts) - 1].startswith(texts[-1])
    assert sum(map(len, texts)) == 1000


def test_a_corpus_without_text_trains_nothing(tmp_path: Path) -> None:
    corpus = open_corpus(str(write_jsonl(tmp_path / "a.jsonl", [None, ""])))
    with pytest.raises(DataError, match=r"a\.jsonl: empty corpus: no document in its 1 file has any text"):
        trained_tokenizer(corpus, 300, tmp_path)
    assert not (tmp_path / "tokenizers").exists()


def test_every_byte_has_an_entry_however_little_text_there_is() -> None:
    tree = train_bpe(["a"], 1000)
    model = tree["model"]
    assert isinstance(model, dict)
    assert len(model["vocab"]) == 257
    assert json.dumps(tree) == json.dumps(train_bpe(["a"], 1000))


def test_a_store_that_is_no_folder_keeps_what_was_trained_first(corpus_path: Path, tmp_path: Path) -> None:
    corpus, store = open_corpus(str(corpus_path)), MemoryStore()
    assert kept_tokenizer(corpus, 300, tmp_path / "a", store=store) is None
    first = trained_tokenizer(corpus, 300, tmp_path / "a", store=store)
    assert kept_tokenizer(corpus, 300, tmp_path / "b", store=store) == first
    assert (
        trained_path(corpus, 300, tmp_path / "b").read_bytes() == trained_path(corpus, 300, tmp_path / "a").read_bytes()
    )
    (key,) = (found.key for found in store.list())
    assert key == f"tokenizers/{trained_path(corpus, 300, tmp_path).name}"
    earlier = json.dumps(train_bpe(make_texts(20), 280)).encode()
    store.write(key, earlier)
    publish_tokenizer(corpus, 300, tmp_path / "a", store)
    assert store.read(key) == earlier


def test_who_trains_at_the_same_time_takes_what_the_first_kept(
    corpus_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, store = open_corpus(str(corpus_path)), MemoryStore()
    winner = train_bpe(make_texts(20), 280)
    trained = bpe.train_bpe

    def overtaken(texts: Iterable[str], vocabulary: int) -> dict[str, object]:
        store.write(f"tokenizers/{trained_path(corpus, 300, tmp_path).name}", json.dumps(winner).encode())
        return trained(texts, vocabulary)

    monkeypatch.setattr(bpe, "train_bpe", overtaken)
    assert trained_tokenizer(corpus, 300, tmp_path, store=store).vocabulary == 280


def test_a_folder_keeps_trained_tokenizers_in_the_cache_alone(corpus_path: Path, tmp_path: Path) -> None:
    trained_tokenizer(open_corpus(str(corpus_path)), 300, tmp_path / "cache", store=LocalStore(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_a_damaged_tokenizer_is_named(corpus_path: Path, tmp_path: Path) -> None:
    corpus, store = open_corpus(str(corpus_path)), MemoryStore()
    path = trained_path(corpus, 300, tmp_path)
    store.write(f"tokenizers/{path.name}", b"{")
    with pytest.raises(DataError, match=r"memory:/tokenizers/.*-bpe300\.json: no tokenizer .*; delete it"):
        kept_tokenizer(corpus, 300, tmp_path, store=store)
    assert not path.exists()
    path.parent.mkdir()
    path.write_bytes(b"{")
    with pytest.raises(DataError, match=r"-bpe300\.json: no tokenizer .*; delete it"):
        kept_tokenizer(corpus, 300, tmp_path)
