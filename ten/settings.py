"""Strict, frozen settings from mappings and YAML; errors name file, line, path and the nearest known name."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import yaml

from ten.errors import MissingInput, SpecError
from ten.spelling import as_yaml, in_words, nearest_beside, shortened

T = TypeVar("T")
Tree = dict[str, Any]
Positive = Annotated[int, msgspec.Meta(ge=1)]
"""A count of at least one; spelled out because msgspec bounds no union."""
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What PyYAML raises besides its own errors where a date, a number or a tag cannot be read."""
_MOST_PATHS = 10_000
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def convert(tree: Mapping[str, Any], to: type[T], source: str, lines: Mapping[str, int] | None = None) -> T:
    """`tree` as an instance of the struct `to`; `lines` maps dotted paths to line numbers of the file `source`.

    Raises SpecError for an unknown key (with the nearest known one) and for a value of the wrong type or range.
    """
    _refuse_unknown(tree, to, "", source, lines or {})
    try:
        return msgspec.convert(tree, to)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at ")
        path = at.strip("`").removeprefix("$.").removeprefix("$")
        value, choices = _value_at(tree, path), _choices(to, path)
        if choices:
            message = f"is none of its values; {nearest(str(value), choices)}"
        shown = repr(value) if isinstance(value, str) else as_yaml(value)
        said = in_words(f"{message[:1].lower()}{message[1:]}")
        raise SpecError(f"{_where(source, path, lines or {})}: {shortened(shown)}: {said}") from None
    except SpecError as error:  # of a struct's own check, which names the field
        path, _, message = str(error).partition(": ")
        raise SpecError(f"{_where(source, path, lines or {})}: {message}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """A "did you mean" clause, or the list of what is known when nothing comes near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def load_yaml(path: Path) -> tuple[Tree, dict[str, int]]:
    """A YAML file's mapping and the line of each dotted path; `${NAME}` and `${NAME:-default}` take the environment.

    Raises MissingInput when there is no such file and SpecError when it is no mapping or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = nearest_beside(path) or "; see jobs/ for those that come with the bundle"
        raise MissingInput(f"{path}: no such job file{near}") from None
    except IsADirectoryError:
        raise SpecError(f"{path}: is a folder; name a job file in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as a job file: {error}") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[str, int] = {}
        if node is not None:
            _collect_lines(node, "", path, lines)
        tree = yaml.safe_load(text)
    except RecursionError:
        raise SpecError(f"{path}: is nested too deeply for a job file") from None
    except (yaml.YAMLError, *_UNREADABLE) as error:
        raise _not_yaml(path, error) from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        kind = "a list" if isinstance(tree, list) else "a single value"
        raise SpecError(f"{path}: a job file is a mapping of names to values, not {kind}")
    try:
        return {str(key): _expand(value) for key, value in tree.items()}, lines
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _not_yaml(path: Path, error: Exception) -> SpecError:
    """Where a file stops being YAML and why, as PyYAML found it."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
    words = shortened(" ".join(str(problem or error).split())).replace("'<stream end>'", "the file's end")
    return SpecError(f"{where}: not valid YAML: {words}")


def set_path(tree: Tree, path: str, value: Any) -> None:
    """Set `a.b.c` in a nested mapping, making the levels that are missing."""
    *parents, last = path.split(".")
    for name in parents:
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):
            raise SpecError(f"--set {path}: {name} is a single value and has no fields")
        tree = below
    tree[last] = value


def parse_value(text: str) -> Any:
    """A command-line value read as YAML reads it: "3e-4" → 0.0003, "true" → True, "10m" → "10m"."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, *_UNREADABLE):
        return text
    if isinstance(value, str):
        try:  # YAML 1.1 reads 3e-4 (no dot) as text
            return float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text.strip()) else value
        except ValueError:
            return value
    return value


def field_paths(struct: type[Any], prefix: str = "") -> dict[str, Any]:
    """Every settable dotted path of a struct and its field."""
    paths: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        inner = _struct_of(field.type)
        if inner is not None:
            paths |= field_paths(inner, f"{prefix}{field.name}.")
        else:
            paths[f"{prefix}{field.name}"] = field
    return paths


def describe(field: Any) -> str:
    """The description that a field's annotation carries."""
    info = msgspec.inspect.type_info(field.type)
    extra = getattr(info, "extra_json_schema", None) or {}
    return str(extra.get("description", ""))


def _value_at(tree: Mapping[str, Any], path: str) -> Any:
    value: Any = tree
    for name in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit():
            value = value[int(name)]
    return value


def _choices(struct: type[Any], path: str) -> list[str]:
    """The values a field may have, where they are few and have names."""
    field = field_paths(struct).get(path)
    info = None if field is None else msgspec.inspect.type_info(field.type)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    some = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return [str(value) for one in some if isinstance(one, msgspec.inspect.LiteralType) for value in one.values]


def _struct_of(annotation: Any) -> type[Any] | None:
    info = msgspec.inspect.type_info(annotation)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    return info.cls if isinstance(info, msgspec.inspect.StructType) else None


def _struct_of_items(annotation: Any) -> type[Any] | None:
    """The struct of which a tuple has any number."""
    info = msgspec.inspect.type_info(annotation)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    item = info.item_type if isinstance(info, msgspec.inspect.VarTupleType) else None
    return item.cls if isinstance(item, msgspec.inspect.StructType) else None


def _refuse_unknown(
    tree: Mapping[str, Any], struct: type[Any], prefix: str, source: str, lines: Mapping[str, int]
) -> None:
    if not isinstance(tree, Mapping):
        raise SpecError(
            f"{_where(source, prefix.rstrip('.'), lines)}: must be a mapping with fields, "
            f"not {shortened(as_yaml(tree))}"
        )
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key, value in tree.items():
        if key not in fields:
            where = _where(source, f"{prefix}{key}", lines)
            raise SpecError(f"{where}: unknown setting; {nearest(str(key), fields)}")
        inner = _struct_of(fields[key].type)
        if inner is not None:
            _refuse_unknown(value, inner, f"{prefix}{key}.", source, lines)
        item = _struct_of_items(fields[key].type)
        if item is not None and isinstance(value, list):
            for number, one in enumerate(value):
                _refuse_unknown(one, item, f"{prefix}{key}[{number}].", source, lines)


def _where(source: str, path: str, lines: Mapping[str, int]) -> str:
    line, path = lines.get(path), shortened(path)
    return f"{source}:{line}: {path}" if line else f"{source}: {path}" if path else source


def _collect_lines(node: yaml.Node, prefix: str, path: Path, lines: dict[str, int]) -> None:
    if len(lines) > _MOST_PATHS:
        raise SpecError(f"{path}: has more than {_MOST_PATHS} values, each alias counted anew; a job file has dozens")
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[f"{prefix[:-1]}[{number}]"] = item.start_mark.line + 1
            _collect_lines(item, f"{prefix[:-1]}[{number}].", path, lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        dotted = f"{prefix}{key.value}"
        if dotted in lines:
            raise SpecError(
                f"{path}:{key.start_mark.line + 1}: {dotted} is given twice (first on line {lines[dotted]})"
            )
        lines[dotted] = key.start_mark.line + 1
        _collect_lines(value, f"{dotted}.", path, lines)


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    if isinstance(value, str):
        expanded = _VARIABLE.sub(_from_environment, value)
        return parse_value(expanded) if _VARIABLE.fullmatch(value) else expanded
    return value


def _from_environment(match: re.Match[str]) -> str:
    found = os.environ.get(match[1]) or match[2]
    if found is None:
        raise SpecError(f"${{{match[1]}}} is used but {match[1]} is not set; set it or write ${{{match[1]}:-default}}")
    return found
