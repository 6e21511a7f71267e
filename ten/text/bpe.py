"""A byte-level BPE trained on a corpus: the tokenizer of the embedded corpus, and of any other that asks for `bpe`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ten.errors import DataError
from ten.store.durable import write_atomically
from ten.text.corpus import Corpus
from ten.text.documents import read_documents
from ten.text.plain import InvalidText
from ten.text.tokens import END_OF_DOCUMENT, Tokenizer, byte_level_bpe, make_tokenizer

_SAMPLE_CHARACTERS = 16 * 2**20


def trained_tokenizer(
    corpus: Corpus,
    vocabulary: int,
    cache_dir: Path,
    invalid: InvalidText = "error",
    end_of_document: str | None = None,
) -> Tokenizer:
    """The BPE trained on the first 16 Mi characters of a corpus; from the cache when it was trained before."""
    path = trained_path(corpus, vocabulary, cache_dir)
    if not path.is_file():
        tree = train_bpe(sample_texts(corpus, _SAMPLE_CHARACTERS, invalid), vocabulary)
        write_atomically(path, json.dumps(tree, sort_keys=True).encode())
    return make_tokenizer(f"bpe:{vocabulary}", json.loads(path.read_text(encoding="utf-8")), end_of_document)


def trained_path(corpus: Corpus, vocabulary: int, cache_dir: Path) -> Path:
    """Where the cache keeps a corpus's trained tokenizer."""
    return cache_dir / "tokenizers" / f"{corpus.slug}-{corpus.fingerprint[:12]}-bpe{vocabulary}.json"


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
        raise DataError(f"{corpus.dataset}: empty corpus: no document in its {len(corpus.files)} file(s) has any text")
