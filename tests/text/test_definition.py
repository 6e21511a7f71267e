"""One tokenizer written in several ways has one definition."""

import json
from importlib.resources import files
from typing import Any

import pytest

from ten.text.definition import normal_form
from ten.text.engines import PROBE
from ten.text.tokens import load_tokenizer, make_tokenizer, mergeable_ranks
from tests.data.small import small_tokenizer


def _as_of_2020() -> dict[str, Any]:
    """GPT-2's tokenizer.json in the words of the first tokenizers, as `openai-community/gpt2` has it."""
    folder = files("ten.text") / "gpt2"
    splits = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    end = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 50256, "content": "<|endoftext|>", **end}],
        "normalizer": None,
        "pre_tokenizer": splits,
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
        "model": {
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": json.loads((folder / "encoder.json").read_text(encoding="utf-8")),
            "merges": (folder / "vocab.bpe").read_text(encoding="utf-8").rstrip("\n").split("\n")[1:],
        },
    }


def test_the_hubs_gpt2_has_the_fingerprint_of_the_embedded_one() -> None:
    from tokenizers import Tokenizer

    old = _as_of_2020()
    rewritten = json.loads(Tokenizer.from_str(json.dumps(old)).to_str())
    for tree in (old, rewritten):
        tokenizer = make_tokenizer("openai-community/gpt2", tree)
        assert tokenizer.fingerprint == load_tokenizer("gpt2").fingerprint
        assert mergeable_ranks(tokenizer.definition) is not None


def test_the_normal_form_gives_the_ids_and_the_text_of_the_file() -> None:
    from tokenizers import Tokenizer

    tree = _as_of_2020()
    ours, theirs = load_tokenizer("gpt2"), Tokenizer.from_str(json.dumps(tree))
    for text in PROBE:
        ids = theirs.encode(text, add_special_tokens=False).ids
        if "<|" not in text:
            assert ours.encode(text) == ids
            assert ours.decode(ids) == theirs.decode(ids)


def test_the_normal_form_is_its_own() -> None:
    tree = json.loads(small_tokenizer().definition)
    assert normal_form(tree) == tree == normal_form(normal_form(tree))


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}},
        {"normalizer": {"type": "NFC"}},
        {"decoder": {"type": "BPEDecoder", "suffix": "</w>"}},
    ],
)
def test_what_changes_ids_or_text_changes_the_fingerprint(change: dict[str, Any]) -> None:
    tree = json.loads(small_tokenizer().definition)
    end = {"id": 0, "content": "<|endoftext|>", "special": True}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tree = {**tree, "added_tokens": [{**end, **plain, "id": small_tokenizer().end_of_document}]}
    assert make_tokenizer("a", {**tree, **change}).fingerprint != make_tokenizer("a", tree).fingerprint


def test_byte_levels_inside_sequences_are_written_out_too() -> None:
    split = {"type": "Digits", "individual_digits": True}
    old = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    tree = {
        "model": {"vocab": {}, "merges": ["a b", ["c", "d"]], "ignore_merges": True},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, old]},
        "decoder": {"type": "Sequence", "decoders": [{**old, "add_prefix_space": True}]},
    }
    found = normal_form(tree)
    whole = {**old, "trim_offsets": True, "use_regex": True}
    assert found["pre_tokenizer"]["pretokenizers"] == [split, whole]
    assert found["decoder"]["decoders"] == [whole]
    assert found["model"]["merges"] == [["a", "b"], ["c", "d"]]
    assert found["model"]["ignore_merges"] is True
    assert found["model"]["type"] == "BPE"


@pytest.mark.parametrize("model", [{"type": "Unigram", "vocab": []}, {"type": "BPE", "vocab": {}, "merges": 5}])
def test_other_models_are_left_as_they_are(model: dict[str, Any]) -> None:
    assert normal_form({"model": model})["model"] == model
