"""The exported tokenizer gives our ids, and knows the end of a document without ever reading it in text."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from ten.export.tokenizer import tokenizer_files
from ten.text.bpe import train_bpe
from ten.text.tokens import Tokenizer, load_tokenizer, make_tokenizer
from tests.data.small import make_texts

TEXTS = ["", " a tale ", "one\n two <|endoftext|> three", "</s>[SEP]<|im_end|>", "é 😀 \ufdd0end of document\ufdd0"]


def _special(id_: int, content: str) -> dict[str, Any]:
    return {
        "id": id_, "content": content, "special": True,
        "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
    }  # fmt: skip


def _beside_the_model() -> dict[str, Any]:
    """A BPE whose special tokens are not among its entries."""
    tree: dict[str, Any] = train_bpe(make_texts(100), 300)
    end = tree["model"]["vocab"].pop("<|endoftext|>")
    tree["model"]["vocab"] = {text: id_ - (id_ > end) for text, id_ in tree["model"]["vocab"].items()}
    size = len(tree["model"]["vocab"])
    return {**tree, "added_tokens": [_special(size, "<|start|>"), _special(size + 1, "</s>")]}


def _unigram() -> dict[str, Any]:
    pieces = [
        ["<unk>", 0.0],
        ["</s>", 0.0],
        ["▁", -2.0],
        *([letter, -3.0] for letter in "abcdehilnorstw</>[]|_"),
        ["ta", -2.5],
    ]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "added_tokens": [_special(0, "<unk>"), _special(1, "</s>")],
        "normalizer": None,
        "pre_tokenizer": metaspace,
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False},
    }


def _wordpiece() -> dict[str, Any]:
    entries = [
        "[UNK]",
        "[SEP]",
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    ]
    return {
        "version": "1.0",
        "added_tokens": [_special(0, "[UNK]"), _special(1, "[SEP]")],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {entry: id_ for id_, entry in enumerate(entries)},
        },
    }  # fmt: skip


TREES = {"beside": _beside_the_model, "unigram": _unigram, "wordpiece": _wordpiece}


@pytest.fixture(params=["bpe", "gpt2", *TREES])
def own(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer of each kind."""
    if request.param in TREES:
        return make_tokenizer(request.param, TREES[request.param]())
    return tokenizer if request.param == "bpe" else load_tokenizer("gpt2")


@pytest.fixture
def theirs(own: Tokenizer, tmp_path: Path) -> Any:
    """The same as transformers loads it."""
    for name, data in tokenizer_files(own).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    return AutoTokenizer.from_pretrained(tmp_path)


def test_ids_and_text_are_ours(own: Tokenizer, theirs: Any) -> None:
    for text in TEXTS:
        ids = theirs(text)["input_ids"]
        assert ids == own.encode(text)
        assert theirs.decode(ids) == own.decode(ids)


def test_the_end_of_a_document_is_every_special_token(own: Tokenizer, theirs: Any) -> None:
    end = own.end_of_document
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (end, end, end)
    assert len(theirs) <= own.vocabulary
    ids = own.encode(" a tale")
    assert theirs.decode([end, *ids, end], skip_special_tokens=True) == own.decode(ids)
    assert theirs.eos_token in theirs.decode([*ids, end])


def test_batches_are_padded_on_the_left(own: Tokenizer, theirs: Any) -> None:
    batch = theirs([" a", " a tale of tales"], padding=True)
    assert batch["attention_mask"][0][0] == 0 and batch["attention_mask"][0][-1] == 1
    assert set(batch) == {"input_ids", "attention_mask"}
