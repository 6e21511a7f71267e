"""A byte-level BPE trained on a corpus: the tokenizer of the embedded corpus, and of any other that asks for `bpe`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ten.errors import DataError
from ten.store.durable import write_atomically
from ten.store.protocol import Store
from ten.store.side_by_side import read_side_by_side
from ten.text.corpus import Corpus
from ten.text.documents import read_documents
from ten.text.plain import InvalidText
from ten.text.tokens import END_OF_DOCUMENT, Tokenizer, byte_level_bpe, make_tokenizer
from ten.units import counted

_SAMPLE_CHARACTERS = 16 * 2**20


def trained_tokenizer(
    corpus: Corpus,
    vocabulary: int,
    cache_dir: Path,
    invalid: InvalidText = "error",
    end_of_document: str | None = None,
    store: Store | None = None,
) -> Tokenizer:
    """The BPE trained on the first 16 Mi characters of a corpus; the one that is kept when it was trained before."""
    if (kept := kept_tokenizer(corpus, vocabulary, cache_dir, end_of_document, store)) is not None:
        return kept
    tree = train_bpe(sample_texts(corpus, _SAMPLE_CHARACTERS, invalid), vocabulary)
    data = json.dumps(tree, sort_keys=True).encode()
    if store is not None and store.root is None:
        store.write_new(_key(corpus, vocabulary), data)
        data = store.read(_key(corpus, vocabulary))  # whoever was first is who others read
    write_atomically(trained_path(corpus, vocabulary, cache_dir), data)
    return make_tokenizer(f"bpe:{vocabulary}", _parsed(data, f"bpe:{vocabulary}"), end_of_document)


def kept_tokenizer(
    corpus: Corpus,
    vocabulary: int,
    cache_dir: Path,
    end_of_document: str | None = None,
    store: Store | None = None,
) -> Tokenizer | None:
    """A corpus's BPE from the cache, else from a store that is no folder; None when it was not trained before.

    Raises DataError when what is kept is damaged.
    """
    path, place = trained_path(corpus, vocabulary, cache_dir), _key(corpus, vocabulary)
    if path.is_file():
        tree = _parsed(path.read_bytes(), str(path))
    elif store is not None and store.root is None and (data := read_side_by_side(store, [place])[0]) is not None:
        tree = _parsed(data, f"{store.url}/{place}")
        write_atomically(path, data)
    else:
        return None
    return make_tokenizer(f"bpe:{vocabulary}", tree, end_of_document)


def publish_tokenizer(corpus: Corpus, vocabulary: int, cache_dir: Path, store: Store) -> None:
    """Keep in the store what the cache has, unless it is there: whoever finds the pack must find its tokenizer."""
    store.write_new(_key(corpus, vocabulary), trained_path(corpus, vocabulary, cache_dir).read_bytes())


def trained_path(corpus: Corpus, vocabulary: int, cache_dir: Path) -> Path:
    """Where the cache keeps a corpus's trained tokenizer."""
    return cache_dir / _key(corpus, vocabulary)


def _key(corpus: Corpus, vocabulary: int) -> str:
    return f"tokenizers/{corpus.slug}-{corpus.fingerprint[:12]}-bpe{vocabulary}.json"


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise DataError(f"{where}: no tokenizer ({error}); delete it to have it trained anew") from None
    return tree


def train_bpe(texts: Iterable[str], vocabulary: int) -> dict[str, object]:
    """Train a byte-level BPE of `vocabulary` entries, the end of a document included, with the tokenizers library."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    blank = Tokenizer(models.BPE())
    blank.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    blank.train_from_iterator(texts, trainer)
    model = json.loads(blank.to_str())["model"]
    return byte_level_bpe(model["vocab"], [list(merge) for merge in model["merges"]])


def sample_texts(corpus: Corpus, characters: int, invalid: InvalidText = "error") -> Iterator[str]:
    """Documents from the start of a corpus, the last one cut short, so many characters together.

    Raises DataError when the corpus has no text.
    """
    left = characters
    for file in corpus.files:
        for text in read_documents(file, column=corpus.text_column, invalid=invalid):
            if text:
                yield text[:left]
                left -= len(text)
            if left <= 0:
                return
    if left == characters:
        files = counted(len(corpus.files), "file")
        raise DataError(f"{corpus.dataset}: empty corpus: no document in its {files} has any text")
