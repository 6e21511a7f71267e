"""Tokenizers: which id ends a document, and that no text can be taken for it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.errors import MissingInput, SpecError
from ten.text.engines import ENGINES, PROBE
from ten.text.tokens import (
    END_OF_DOCUMENT,
    Tokenizer,
    load_tokenizer,
    make_tokenizer,
    mergeable_ranks,
    trained_vocabulary,
)
from tests.data.small import small_tokenizer

TEXT = st.one_of(st.text(max_size=200), st.text(alphabet="ab \n'strelvdm1.<|>endoftext\u00a0é日🙂", max_size=200))


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return load_tokenizer("gpt2")


@pytest.fixture(scope="module")
def published() -> Any:
    """OpenAI's encoder of the published vocabulary files."""
    import tiktoken

    folder = files("ten.text") / "gpt2"
    letters = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    order = letters + [byte for byte in range(256) if byte not in letters]
    alphabet = {chr(byte if byte in letters else 256 + k - len(letters)): byte for k, byte in enumerate(order)}
    ranks = {bytes([byte]): rank for rank, byte in enumerate(order)}
    for line in (folder / "vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]:
        left, right = line.split()
        ranks[bytes(alphabet[letter] for letter in left + right)] = len(ranks)
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    return tiktoken.Encoding(
        "gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={END_OF_DOCUMENT: len(ranks)}
    )


@pytest.mark.parametrize("text", [*PROBE, *(word + " " + word for word in PROBE)])
def test_gpt2_gives_the_published_ids(gpt2: Tokenizer, published: Any, text: str) -> None:
    assert gpt2.encode(text) == published.encode_ordinary(text)


@given(TEXT)
def test_gpt2_gives_the_published_ids_for_any_text(gpt2: Tokenizer, published: Any, text: str) -> None:
    assert gpt2.encode(text) == published.encode_ordinary(text)


def test_gpt2_ids_are_those_that_everybody_knows(gpt2: Tokenizer, published: Any) -> None:
    assert gpt2.encode("Hello world") == [15496, 995]
    assert (gpt2.vocabulary, gpt2.end_of_document) == (50257, published.eot_token) == (50257, 50256)


@given(TEXT)
def test_decoding_gives_back_the_text(gpt2: Tokenizer, text: str) -> None:
    assert gpt2.decode(gpt2.encode(text)) == text
    assert small_tokenizer().decode([*small_tokenizer().encode(text), small_tokenizer().end_of_document]) == text


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", [END_OF_DOCUMENT, f"a{END_OF_DOCUMENT}{END_OF_DOCUMENT}\n", f" {END_OF_DOCUMENT} b"])
def test_the_name_of_the_end_token_is_plain_text_to_every_engine(gpt2: Tokenizer, engine: str, text: str) -> None:
    for tokenizer in (gpt2, small_tokenizer()):
        ids = ENGINES[engine](tokenizer).encode(text)
        assert tokenizer.end_of_document not in ids
        assert np.array_equal(ids, tokenizer.encode(text))
        assert tokenizer.decode(ids.tolist()) == text


def added(content: str, number: int, *, special: bool = True) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": content, "special": special, **flags}


def tree_of(model: dict[str, Any], *tokens: dict[str, Any], **rest: Any) -> dict[str, Any]:
    blank = {"version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": None}
    return {**blank, "post_processor": None, "decoder": None, "added_tokens": [*tokens], "model": model, **rest}


LETTERS = ["<", "/", "s", ">", "a", " "]
UNIGRAM = {
    "type": "Unigram",
    "unk_id": 0,
    "vocab": [["<unk>", 0.0], ["</s>", 0.0], *([x, -2.0] for x in LETTERS)],
    "byte_fallback": False,
}
VOCABULARY = {"<unk>": 0, "</s>": 1, **{letter: 2 + k for k, letter in enumerate(LETTERS)}}
WORD_LEVEL = {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "<unk>"}
WORD_PIECE = {
    "type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "", "max_input_chars_per_word": 100,
    "vocab": VOCABULARY,
}  # fmt: skip
WHOLE_WORD_BPE = {"type": "BPE", "vocab": VOCABULARY, "merges": [], "ignore_merges": True, "unk_token": "<unk>"}


@pytest.mark.parametrize("model", [UNIGRAM, WORD_LEVEL, WORD_PIECE, WHOLE_WORD_BPE], ids=lambda model: model["type"])
@pytest.mark.parametrize("text", ["</s>", "a</s>", "</s></s> a"])
def test_a_model_that_matches_whole_entries_never_matches_the_end(model: dict[str, Any], text: str) -> None:
    tokenizer = make_tokenizer("t", tree_of(model, added("<unk>", 0), added("</s>", 1)))
    assert tokenizer.end_of_document == 1
    assert 1 not in tokenizer.encode(text)
    assert tokenizer.vocabulary == 8


@pytest.mark.parametrize("special", [True, False])
def test_an_added_token_that_ends_documents_is_plain_text(special: bool) -> None:
    tree = json.loads(small_tokenizer().definition)
    tree["added_tokens"] = [added("<|im_end|>", 400, special=special), added("<|tool|>", 401, special=False)]
    tokenizer = make_tokenizer("t", tree, "<|im_end|>")
    assert (tokenizer.end_of_document, tokenizer.vocabulary) == (400, 402)
    assert 400 not in tokenizer.encode("<|im_end|> a")
    assert 401 in tokenizer.encode("a <|tool|>")
    assert tokenizer.decode([*tokenizer.encode("a <|tool|>"), 400]) == "a <|tool|>"


def test_hiding_special_tokens_renumbers_no_other() -> None:
    """The library numbers added tokens by itself: Qwen's `<tool_call>` would take the id of its `<|endoftext|>`."""
    tree = json.loads(small_tokenizer().definition)
    plain = {402: "<tool_call>", 403: "</tool_call>", 405: "  "}
    names = {400: "<|a|>", 401: "</s>", 404: "<|b|>", **plain}
    tree["added_tokens"] = [added(names[k], k, special=k not in plain) for k in sorted(names)]
    tokenizer = make_tokenizer("t", tree)
    assert (tokenizer.end_of_document, tokenizer.vocabulary) == (401, 406)
    for number, content in plain.items():
        assert tokenizer.encode(content) == [number]
    for number in (400, 401, 404):
        assert number not in tokenizer.encode(names[number])
        assert tokenizer.decode([number]) == ""


def test_truncation_padding_and_templates_are_ignored() -> None:
    tree = json.loads(small_tokenizer().definition)
    end = small_tokenizer().end_of_document
    tree["added_tokens"] = [added(END_OF_DOCUMENT, end)]
    tree["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    tree["padding"] = {
        "strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": END_OF_DOCUMENT,
    }  # fmt: skip
    tree["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "E", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"E": {"id": "E", "ids": [end], "tokens": [END_OF_DOCUMENT]}},
    }
    tokenizer = make_tokenizer("t", tree)
    assert tokenizer.encode("a river walks under") == small_tokenizer().encode("a river walks under")
    assert tokenizer.fingerprint == small_tokenizer().fingerprint


@pytest.mark.parametrize("end", ["</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>", "[SEP]"])
def test_the_usual_ends_of_documents_are_found(end: str) -> None:
    tree = json.loads(small_tokenizer().definition)
    assert make_tokenizer("t", {**tree, "added_tokens": [added("<pad>", 500), added(end, 501)]}).end_of_document == 501


def test_an_end_that_is_not_there_is_an_error_with_the_way_out() -> None:
    tree = json.loads(small_tokenizer().definition)
    tree["added_tokens"] = [added("<|stop|>", 500)]
    with pytest.raises(SpecError, match=r"no token that usually ends a document; .*special tokens: <\|stop\|>"):
        make_tokenizer("mine", tree)
    with pytest.raises(
        SpecError, match=r"'mine' has no token '<\|stopp\|>' to end documents; did you mean '<\|stop\|>'"
    ):
        make_tokenizer("mine", tree, "<|stopp|>")
    assert make_tokenizer("mine", tree, "<|stop|>").end_of_document == 500


def test_the_fingerprint_knows_ids_and_end_but_not_the_name() -> None:
    tree = json.loads(small_tokenizer().definition)
    ends = [added("<|a|>", 500), added("<|b|>", 501)]
    one = make_tokenizer("x", {**tree, "added_tokens": ends}, "<|a|>")
    assert one.fingerprint == make_tokenizer("y", {**tree, "added_tokens": ends}, "<|a|>").fingerprint
    assert one.fingerprint != make_tokenizer("x", {**tree, "added_tokens": ends}, "<|b|>").fingerprint
    assert one.fingerprint != small_tokenizer(300).fingerprint != small_tokenizer().fingerprint


def test_a_tokenizer_is_loaded_from_a_file_or_its_folder(tmp_path: Path) -> None:
    tree = json.loads(small_tokenizer().definition)
    (tmp_path / "tokenizer.json").write_text(json.dumps({**tree, "added_tokens": [added("</s>", 0)]}))
    for name in (str(tmp_path), str(tmp_path / "tokenizer.json")):
        assert load_tokenizer(name).end_of_document == 0


def test_a_tokenizer_that_is_not_there_is_missing_input() -> None:
    with pytest.raises(MissingInput, match=r"'gpt3': no such file; give the path of a tokenizer\.json"):
        load_tokenizer("gpt3")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 5}', '{"model": {"type": "Nonsense"}}', "\ud800"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(SpecError, match=r"tokenizer\.json"):
        load_tokenizer(str(path))


@pytest.mark.parametrize(
    ("name", "size"), [("bpe", 4096), ("bpe:257", 257), ("bpe:131072", 131072), ("gpt2", None), ("bpe:", None)]
)
def test_bpe_and_a_size_ask_for_training(name: str, size: int | None) -> None:
    assert trained_vocabulary(name) == size


@pytest.mark.parametrize("name", ["bpe:256", "bpe:131073", "bpe:0"])
def test_a_vocabulary_that_cannot_be_trained_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="a trained vocabulary has 257 to 131072 entries"):
        trained_vocabulary(name)


def test_only_a_plain_byte_level_bpe_has_mergeable_ranks() -> None:
    tree = json.loads(small_tokenizer().definition)
    ranks = mergeable_ranks(small_tokenizer().definition)
    assert ranks is not None and set(ranks) >= {bytes([byte]) for byte in range(256)}
    changes: list[dict[str, Any]] = [
        {"model": UNIGRAM}, {"pre_tokenizer": None}, {"normalizer": {"type": "NFC"}},
        {"added_tokens": [added("<|x|>", 500, special=False)]},
        {"pre_tokenizer": {**tree["pre_tokenizer"], "add_prefix_space": True}},
        {"pre_tokenizer": {**tree["pre_tokenizer"], "use_regex": False}},
    ]  # fmt: skip
    for change in changes:
        assert mergeable_ranks(json.dumps({**tree, **change})) is None
