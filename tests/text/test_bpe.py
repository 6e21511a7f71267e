"""A trained tokenizer is a pure function of corpus and size."""

import json
from pathlib import Path

import pytest

from ten.errors import DataError
from ten.text import bpe
from ten.text.bpe import sample_texts, train_bpe, trained_path, trained_tokenizer
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
    with pytest.raises(DataError, match=r"a\.jsonl: empty corpus: no document in its 1 file\(s\) has any text"):
        trained_tokenizer(corpus, 300, tmp_path)
    assert not (tmp_path / "tokenizers").exists()


def test_every_byte_has_an_entry_however_little_text_there_is() -> None:
    tree = train_bpe(["a"], 1000)
    model = tree["model"]
    assert isinstance(model, dict)
    assert len(model["vocab"]) == 257
    assert json.dumps(tree) == json.dumps(train_bpe(["a"], 1000))
