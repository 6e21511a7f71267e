"""Dialects: how make, bash and `docker --env-file` read a line of a `.env` file, where that can be told at all.

Each function gives the value, or None where the line is an error there or depends on more than the line.
"""

import re
from collections.abc import Callable

_ASSIGNMENT = re.compile(r"(?P<export>export[ \t]+)?(?P<name>[A-Za-z_]\w*)(?P<gap>[ \t]*)=(?P<value>.*)", re.ASCII)
_BASH_SPECIAL = set("$`\\\"';&|<>()~") | {chr(code) for code in range(32)}
_CARRIAGE = "\r"


def in_make(line: str) -> str | None:
    """`include .env` with `export`: `$` expands, `#` ends the value, quotes and spaces at the end stay."""
    found = _ASSIGNMENT.fullmatch(line)
    if found is None or "$" in found["value"] or "\\" in found["value"]:
        return None
    return found["value"].partition("#")[0].lstrip(" \t")


def in_bash(line: str) -> str | None:
    """`source .env`: one word of plain letters, '…' and "…"; after a space nothing but a comment."""
    found = _ASSIGNMENT.fullmatch(line)
    if found is None or found["gap"]:
        return None
    text, value = found["value"].removesuffix(_CARRIAGE), ""
    ending = found["value"][len(text) :]
    while text and text[0] not in " \t":
        quote = text[0] if text[0] in "'\"" else ""
        if quote:
            inner, closed, text = text[1:].partition(quote)
            if not closed or (quote == '"' and set(inner) & set("$`\\!")):
                return None
            value += inner
        elif text[0] in _BASH_SPECIAL:
            return None
        else:
            value, text = value + text[0], text[1:]
    rest = text.strip(" \t")
    if rest.startswith("#"):
        return value
    if rest or (text and ending):  # a command, though it be a carriage return alone
        return None
    return value + ending


def in_docker(line: str) -> str | None:
    """`docker run --env-file`: what is behind the first `=`, quotes and comments and all; no `export`."""
    found = _ASSIGNMENT.fullmatch(line)
    if found is None or found["export"] or found["gap"]:
        return None
    return found["value"].removesuffix(_CARRIAGE)


READERS: dict[str, Callable[[str], str | None]] = {
    "make": in_make,
    "bash": in_bash,
    "docker --env-file": in_docker,
}
"""Who else reads such files."""


def readers_that_differ(line: str, value: str) -> list[str]:
    """Which of them do not read `value` in a line, as `ten` does; a value of several lines is nobody else's."""
    if "\n" in line:
        return list(READERS)
    return [name for name, read in READERS.items() if read(line.lstrip(" ")) != value]
