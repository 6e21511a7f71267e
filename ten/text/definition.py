"""Definitions: the normal form of a tokenizer.json, so that two files that mean the same have one fingerprint."""

from typing import Any

_BPE_DEFAULTS: dict[str, Any] = {
    "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
    "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
}  # fmt: skip
_BYTE_LEVEL: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def normal_form(tree: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer in the words of today's `tokenizers`; GPT-2's published file, of 2020, is written in others.

    Fields that were left out get their defaults, and those without effect on ids and text one value.
    """
    return {
        **tree,
        "model": _model(tree["model"]),
        "pre_tokenizer": _splitter(tree.get("pre_tokenizer")),
        "decoder": _decoder(tree.get("decoder")),
    }


def _model(model: dict[str, Any]) -> dict[str, Any]:
    merges = model.get("merges")
    if model.get("type", "BPE") != "BPE" or not isinstance(merges, list):
        return model
    affixes = {name: model.get(name) or None for name in ("continuing_subword_prefix", "end_of_word_suffix")}
    return {**_BPE_DEFAULTS, **model, **affixes, "type": "BPE", "merges": [*map(_pair, merges)]}


def _pair(merge: Any) -> Any:
    """Both sides of a merge, which older files write as one string."""
    sides = merge.split(" ") if isinstance(merge, str) else []
    return sides if len(sides) == 2 else merge


def _splitter(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Sequence" and isinstance(part.get("pretokenizers"), list):
        return {**part, "pretokenizers": [*map(_splitter, part["pretokenizers"])]}
    if part.get("type") != "ByteLevel":
        return part
    return {**_BYTE_LEVEL, **part, "trim_offsets": True}  # offsets are not asked for here


def _decoder(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Sequence" and isinstance(part.get("decoders"), list):
        return {**part, "decoders": [*map(_decoder, part["decoders"])]}
    return _BYTE_LEVEL if part.get("type") == "ByteLevel" else part
