"""Spelling: values, types and names as people write them, for messages; Python's own spelling is no one's job file."""

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

_TYPE = re.compile(r"`([a-z| ]+)`")
_NAMES = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
    "object": "a mapping", "null": "nothing",
}  # fmt: skip
_EXAMPLES = {"int": "100", "float": "12.5", "array": "[a, b]", "object": "{name: value}"}


def as_yaml(value: Any) -> str:
    """A setting's value as a job file has it, on one line; `unset` for null."""
    if value is None:
        return "unset"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def shortened(text: str, most: int = 200) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= most else f"{text[:most]}…"


def in_words(message: str) -> str:
    """What msgspec says of a value, its types in words; a type that is asked for has an example."""
    wanted, got, found = message.partition(", got ")
    if match := _TYPE.search(wanted):
        kinds = [kind for kind in match[1].split(" | ") if kind != "null"]
        example = _EXAMPLES.get(kinds[0]) if got else None
        wanted = wanted.replace(match[0], _or(kinds) + (f" such as {example}" if example else ""))
    return wanted + got + _TYPE.sub(lambda match: _or(match[1].split(" | ")), found)


def nearest_beside(path: Path) -> str:
    """`; did you mean PATH?` where something in the same folder is called nearly as what is not there; else nothing."""
    try:
        names = [found.name for found in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def _or(kinds: list[str]) -> str:
    return " or ".join(_NAMES.get(kind, f"`{kind}`") for kind in kinds)
