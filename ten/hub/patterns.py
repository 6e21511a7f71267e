"""Patterns: which file names a dataset card's globs mean (`*` stays in a folder, `**` goes below it)."""

import posixpath
import re
from collections.abc import Iterable, Mapping

_WILD = re.compile(r"(?:(?<=/)|^)\*\*/|\*\*|\*|\?|\[[^\]]+\]")
_PLAIN = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def below(folder: str, names: Iterable[str]) -> dict[str, str]:
    """The names in a folder, relative to it → as they are."""
    inside = posixpath.normpath(folder).strip("/") if folder.strip("./") else ""
    prefix = f"{inside}/" if inside else ""
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def matching(pattern: str, inner_names: Mapping[str, str]) -> list[str]:
    """The full names whose inner ones match; hidden files only where the pattern is hidden itself."""
    pattern = pattern.removeprefix("./").lstrip("/")
    whole = _compile(pattern)
    return [
        name
        for inner, name in inner_names.items()
        if whole.fullmatch(inner) and (is_hidden(pattern) or not is_hidden(inner))
    ]


def is_hidden(path: str) -> bool:
    """Whether a file or one of its folders begins with a dot, or a folder with two underscores."""
    *folders, last = path.split("/")
    return last.startswith(".") or any(part.startswith((".", "__")) for part in folders)


def _compile(pattern: str) -> re.Pattern[str]:
    expression, at = "", 0
    for wild in _WILD.finditer(pattern):
        expression += re.escape(pattern[at : wild.start()]) + _translate(wild[0])
        at = wild.end()
    return re.compile(expression + re.escape(pattern[at:]))


def _translate(wild: str) -> str:
    if wild in _PLAIN:
        return _PLAIN[wild]
    letters = wild[1:-1].replace("\\", r"\\").replace("[", r"\[")
    return f"[^/{letters[1:]}]" if letters.startswith(("!", "^")) and letters[1:] else f"[{letters}]"
