"""Tokenizer of an exported model: the run's own, with its end of document as a special token of transformers."""

from typing import Any

import msgspec

from ten.text.tokens import END_OF_DOCUMENT, Tokenizer


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, bytes]:
    """tokenizer.json and tokenizer_config.json.

    The end of a document is its beginning-of-text, end-of-text and padding token alike, and is never added to a text.
    Text that reads like it stays text (`split_special_tokens`), as it was while training.
    """
    tree, end = _with_end(msgspec.json.decode(tokenizer.definition), tokenizer.end_of_document)
    config = {
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": end,
        "clean_up_tokenization_spaces": False,
        "eos_token": end,
        "model_input_names": ["input_ids", "attention_mask"],
        "pad_token": end,
        "padding_side": "left",
        "split_special_tokens": True,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    return {
        "tokenizer.json": msgspec.json.encode(tree),
        "tokenizer_config.json": msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n",
    }


def _with_end(tree: dict[str, Any], end: int) -> tuple[dict[str, Any], str]:
    """The definition with `end` among its special tokens, and what it is called there.

    A definition has no name for it, or one that no text can spell, unless a BPE's merges keep text from reaching it.
    """
    names = _entries(tree["model"])
    others = [token for token in tree["added_tokens"] if token["id"] != end]
    taken = {*names.values(), *(token["content"] for token in others)}
    name = names.get(end)
    if name is None:
        own = next((token["content"] for token in tree["added_tokens"] if token["id"] == end), END_OF_DOCUMENT)
        name = own if END_OF_DOCUMENT in taken else END_OF_DOCUMENT
    added = {
        "id": end, "content": name, "special": True,
        "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
    }  # fmt: skip
    return {**tree, "added_tokens": sorted([*others, added], key=lambda token: int(token["id"]))}, name


def _entries(model: dict[str, Any]) -> dict[int, str]:
    """The model's own entries by id: of a mapping, or of a Unigram's list of pieces and scores."""
    vocabulary = model.get("vocab") or {}
    if isinstance(vocabulary, list):
        return {id_: entry[0] for id_, entry in enumerate(vocabulary)}
    return {id_: entry for entry, id_ in vocabulary.items()}
