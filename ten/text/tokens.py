"""Tokenizers: which ids a text becomes, which id ends a document, and the fingerprint that tells two apart."""

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from ten.errors import MissingInput, SpecError
from ten.settings import nearest
from ten.text.definition import normal_form
from ten.text.hub_tokenizer import hub_tokenizer, is_hub_name, parse_definition

END_OF_DOCUMENT = "<|endoftext|>"
_END_NAMES = (END_OF_DOCUMENT, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "<|im_end|>", "[SEP]")
_TRAINED = re.compile(r"bpe(?::(\d+))?")
DEFAULT_TRAINED_VOCABULARY = 4096
_UNWRITTEN = "\ufdd0end of document\ufdd0"
"""U+FDD0 is no character and in no text that is meant to be exchanged (Unicode 23.7)."""


class Tokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenizer as data: what the packer process, the pack and the run are given.

    `definition` is a tokenizer.json without its special tokens, so that the *text* `<|endoftext|>` inside a document
    is encoded like any other text and can never be taken for the end of one.
    """

    name: str
    definition: str
    vocabulary: int
    """One more than the largest id, special tokens included."""
    end_of_document: int
    fingerprint: str

    def decode(self, ids: list[int]) -> str:
        """The text of some ids; incomplete UTF-8 becomes U+FFFD, ends of documents are left out."""
        text: str = _library_tokenizer(self.definition).decode([i for i in ids if i != self.end_of_document])
        return text

    def encode(self, text: str) -> list[int]:
        """The ids of a text, by the reference implementation."""
        ids: list[int] = _library_tokenizer(self.definition).encode(text, add_special_tokens=False).ids
        return ids


def trained_vocabulary(name: str) -> int | None:
    """The vocabulary that `bpe` or `bpe:SIZE` asks to be trained on the corpus; None for any other name."""
    match = _TRAINED.fullmatch(name)
    if not match:
        return None
    size = int(match[1] or DEFAULT_TRAINED_VOCABULARY)
    if not 257 <= size <= 2**17:
        raise SpecError(f"tokenizer {name!r}: a trained vocabulary has 257 to 131072 entries")
    return size


def load_tokenizer(name: str, end_of_document: str | None = None, cache_dir: Path | None = None) -> Tokenizer:
    """The tokenizer called `gpt2` (comes with the package), in a tokenizer.json, or of a hub's `namespace/repo[@rev]`.

    A path that is there wins over a repository of that name; what the hub gave is kept in `cache_dir`. Raises
    MissingInput when there is none, SpecError when the file is none or its end-of-document token unknown, and what the
    hub's transport raises.
    """
    if name == "gpt2":  # known to be understood, and checking it would take as long as all else before training
        return _assembled(name, _gpt2(), end_of_document)
    path = Path(name).expanduser()
    if path.is_dir():
        path /= "tokenizer.json"
    if path.is_file():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SpecError(f"{path}: not a readable tokenizer.json: {error}") from None
        return make_tokenizer(name, parse_definition(content, str(path)), end_of_document)
    if is_hub_name(name):
        try:
            tree = hub_tokenizer(name, cache_dir or Path("~/.cache/ten").expanduser())
        except MissingInput as error:
            raise MissingInput(f"tokenizer {name!r}: no such file or folder here, and at the hub: {error}") from None
        return make_tokenizer(name, tree, end_of_document)
    raise MissingInput(
        f"tokenizer {name!r}: no such file; give the path of a tokenizer.json, 'gpt2', the hub's namespace/repo, or "
        f"'bpe:SIZE' to train one"
    )


def make_tokenizer(name: str, tree: dict[str, Any], end_of_document: str | None = None) -> Tokenizer:
    """A tokenizer from the content of a tokenizer.json.

    Raises SpecError where no token can end a document and where the library does not understand it.
    """
    tokenizer = _assembled(name, tree, end_of_document)
    try:
        _library_tokenizer(tokenizer.definition)
    except ValueError as error:
        raise SpecError(f"tokenizer {name!r}: {error}") from None
    return tokenizer


def _assembled(name: str, tree: dict[str, Any], end_of_document: str | None) -> Tokenizer:
    tree = normal_form(tree)
    added = tree.get("added_tokens") or []
    special = {token["content"]: int(token["id"]) for token in added if token.get("special")}
    in_model = _model_ids(tree["model"])
    ids = in_model | {token["content"]: int(token["id"]) for token in added}
    end = _end_of_document(name, ids, special, end_of_document)
    hidden = {*special.values(), end}
    dropped = hidden & {*in_model.values()}
    kept = [_placeholder(token) if token["id"] in hidden else token for token in added if token["id"] not in dropped]
    tree = {**tree, "model": _unmatchable(tree["model"], end), "added_tokens": kept}
    tree |= {"truncation": None, "padding": None, "post_processor": None}
    try:
        definition = msgspec.json.encode(tree, order="sorted").decode()
    except UnicodeEncodeError as error:
        raise SpecError(f"tokenizer {name!r}: an entry of its vocabulary is not Unicode: {error.reason}") from None
    digest = hashlib.sha256(f"{definition}\n{end}".encode()).hexdigest()
    size = 1 + max(ids.values())
    return Tokenizer(name=name, definition=definition, vocabulary=size, end_of_document=end, fingerprint=digest)


def _model_ids(model: dict[str, Any]) -> dict[str, int]:
    """The model's own entries: a mapping, or for Unigram a list of pieces and scores."""
    vocabulary = model.get("vocab") or {}
    return {entry[0]: id_ for id_, entry in enumerate(vocabulary)} if isinstance(vocabulary, list) else dict(vocabulary)


def _placeholder(token: dict[str, Any]) -> dict[str, Any]:
    """What stands for a special token that is not in the model; without it the library renumbers those after it."""
    return {**token, "content": f"{_UNWRITTEN}{token['id']}", "special": True, "normalized": False}


def _unmatchable(model: dict[str, Any], end: int) -> dict[str, Any]:
    """The model with its entry for the end of a document renamed, unless it is a BPE, which reaches entries by merges.

    Unigram, WordPiece and WordLevel models (and a BPE that ignores merges) match text with their entries as they stand.
    """
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):
        renamed = [[_UNWRITTEN, *entry[1:]] if id_ == end else entry for id_, entry in enumerate(vocabulary)]
        return {**model, "vocab": renamed}
    if not isinstance(vocabulary, dict) or (model.get("type") == "BPE" and not model.get("ignore_merges")):
        return model
    return {**model, "vocab": {_UNWRITTEN if id_ == end else entry: id_ for entry, id_ in vocabulary.items()}}


def _end_of_document(name: str, ids: dict[str, int], special: dict[str, int], wanted: str | None) -> int:
    if wanted is not None:
        if wanted not in ids:
            raise SpecError(f"tokenizer {name!r} has no token {wanted!r} to end documents; {nearest(wanted, special)}")
        return ids[wanted]
    for candidate in _END_NAMES:
        if candidate in special or (not special and candidate in ids):
            return ids[candidate]
    raise SpecError(
        f"tokenizer {name!r}: no token that usually ends a document; name one with "
        f"--set data.end_of_document=TOKEN (special tokens: {', '.join(special) or 'none'})"
    )


@cache
def _library_tokenizer(definition: str) -> Any:
    import tokenizers  # takes 0.1 s to import

    try:
        return tokenizers.Tokenizer.from_str(definition)
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"not understood by the tokenizers library: {error}") from None


def _gpt2() -> dict[str, Any]:
    """A tokenizer.json from the published vocabulary (Radford et al. 2019), as the original encoder reads it."""
    folder = files("ten.text") / "gpt2"
    vocabulary = msgspec.json.decode((folder / "encoder.json").read_bytes())
    _version, *merges = (folder / "vocab.bpe").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return byte_level_bpe(vocabulary, [merge.split(" ") for merge in merges])


def byte_level_bpe(vocabulary: dict[str, int], merges: list[list[str]]) -> dict[str, Any]:
    """The tokenizer.json of a byte-level BPE with GPT-2's splitting rule and `<|endoftext|>` as its special token."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": vocabulary, "merges": merges,
    }  # fmt: skip
    end = {
        "id": vocabulary[END_OF_DOCUMENT], "content": END_OF_DOCUMENT, "special": True,
        "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
    }  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": [end],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": model,
    }


def mergeable_ranks(definition: str) -> dict[bytes, int] | None:
    """Byte strings and ranks of a byte-level BPE as tiktoken takes them; None when it is no such tokenizer."""
    tree = json.loads(definition)
    splits = tree.get("pre_tokenizer") or {}
    if tree["model"].get("type") != "BPE" or splits.get("type") != "ByteLevel" or not splits.get("use_regex", True):
        return None
    if splits.get("add_prefix_space") or tree.get("normalizer") or tree["added_tokens"]:
        return None
    alphabet = _byte_alphabet()
    if any(not set(token) <= alphabet.keys() for token in tree["model"]["vocab"] if token != END_OF_DOCUMENT):
        return None
    vocabulary = {token: id_ for token, id_ in tree["model"]["vocab"].items() if token != END_OF_DOCUMENT}
    return {bytes(alphabet[letter] for letter in token): id_ for token, id_ in vocabulary.items()}


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's letters for the 256 bytes: printable ones stand for themselves, the others are moved up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
