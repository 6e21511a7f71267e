"""Settings: strict, frozen, and exact about where something is wrong."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from ten.errors import MissingInput, SpecError
from ten.settings import Positive, convert, describe, field_paths, load_yaml, nearest, parse_value, set_path


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is below a setting."""

    rate: Annotated[float, Meta(gt=0, description="How fast.")] = 0.5
    rows: Annotated[Positive | None, Meta(description="How many.")] = None
    colour: Annotated[str, Meta(description="Which.")] = "red"


class Outer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings with some below."""

    name: Annotated[str, Meta(description="Whose.")] = "me"
    inner: Annotated[Inner, Meta(description="More.")] = Inner()
    flag: bool = False


def load(folder: Path, text: str) -> Outer:
    path = folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    tree, lines = load_yaml(path)
    return convert(tree, Outer, str(path), lines)


def test_a_file_sets_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    assert load(tmp_path, "inner:\n  rows: 3\n  rate: 1\n") == Outer(inner=Inner(rows=3, rate=1.0))
    assert load(tmp_path, "") == load(tmp_path, "# only a comment\n") == Outer()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("naem: x\n", r"job\.yaml:1: naem: unknown setting; did you mean 'name'\?"),
        ("name: x\n\ninner:\n  color: x\n", r"job\.yaml:4: inner\.color: unknown setting; did you mean 'colour'\?"),
        ("inner:\n  zzz: 1\n", r"job\.yaml:2: inner\.zzz: unknown setting; known: colour, rate, rows"),
        ("5: x\n", r"job\.yaml:1: 5: unknown setting"),
        (f"? {'9' * 5000}s\n: 1\n", r"job\.yaml:1: 9{200}…: unknown setting; known: "),
        ("inner:\n  rows: many\n", r"job\.yaml:2: inner\.rows: 'many': expected a whole number such as 100, got text"),
        ("inner:\n  rows: 0\n", r"job\.yaml:2: inner\.rows: 0: expected a whole number >= 1"),
        ("name: x\ninner:\n  rate: -1\n", r"job\.yaml:3: inner\.rate: -1: expected a number > 0"),
        ("name: 5\n", r"job\.yaml:1: name: 5: expected text, got a whole number"),
        ("flag: 'yes'\n", r"job\.yaml:1: flag: 'yes': expected true or false, got text"),
        ("inner: 5\n", r"job\.yaml:1: inner: must be a mapping with fields, not 5"),
        ("inner:\nname: x\n", r"job\.yaml:1: inner: must be a mapping with fields, not unset"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_path(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nflag: true\nname: b\n", r"job\.yaml:3: name is given twice \(first on line 1\)"),
        ("inner:\n  rows: 1\n  rate: 2\n  rows: 1\n", r"job\.yaml:4: inner\.rows is given twice \(first on line 2\)"),
        ("- a\n- b\n", r"job\.yaml: a job file is a mapping of names to values, not a list"),
        ("just words\n", r"job\.yaml: a job file is a mapping of names to values, not a single value"),
        ("name: [1\n", r"job\.yaml:2: not valid YAML: expected ',' or ']', but got the file's end$"),
        ("a: !!python/object:os.system x\n", r"job\.yaml:1: not valid YAML"),
        ("\tname: x\n", r"job\.yaml:1: not valid YAML"),
    ],
)
def test_what_is_no_job_file_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load(tmp_path, text)


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"nowhere\.yaml: no such job file"):
        load_yaml(tmp_path / "nowhere.yaml")
    (tmp_path / "nowhere.yml").touch()
    with pytest.raises(MissingInput, match=r"nowhere\.yaml: no such job file; did you mean .*nowhere\.yml\?"):
        load_yaml(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=r"binary\.yaml: cannot be read as a job file"):
        load_yaml(tmp_path / "binary.yaml")
    with pytest.raises(SpecError, match="is a folder; name a job file in it"):
        load_yaml(tmp_path)


def test_variables_take_the_environment_or_their_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEN_TEST_NAME", "sue")
    monkeypatch.setenv("TEN_TEST_EMPTY", "")
    monkeypatch.delenv("TEN_TEST_NONE", raising=False)
    for text, name in [
        ("${TEN_TEST_NAME}", "sue"), ("a-${TEN_TEST_NAME}-${TEN_TEST_NAME}", "a-sue-sue"),
        ("${TEN_TEST_NONE:-bob}", "bob"),
        ("${TEN_TEST_NAME:-bob}", "sue"), ("${TEN_TEST_EMPTY:-bob}", "bob"), ("${TEN_TEST_NONE:-}x", "x"),
        ("$TEN_TEST_NAME", "$TEN_TEST_NAME"), ("$5 {x}", "$5 {x}"),
    ]:  # fmt: skip
        assert load(tmp_path, f"name: '{text}'\n").name == name
        assert load(tmp_path, f"inner: {{colour: '{text}'}}\n").inner.colour == name


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEN_TEST_NONE", raising=False)
    with pytest.raises(SpecError, match=r"TEN_TEST_NONE is not set; set it or write \$\{TEN_TEST_NONE:-default\}"):
        load(tmp_path, "name: ${TEN_TEST_NONE}\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4), ("1E5", 1e5), ("-2.5e3", -2500.0), ("3.0e-4", 3e-4), ("5", 5), ("0.5", 0.5), ("true", True),
        ("null", None), ("10m", "10m"), ("64MiB", "64MiB"), ("gpt2", "gpt2"), ("a: b: c", "a: b: c"),
        ("[1, 2]", [1, 2]),
        ("'5'", "5"), ("e5", "e5"), ("*.txt", "*.txt"), ("{", "{"), ("path/with space", "path/with space"),
    ],
)  # fmt: skip
def test_a_value_on_the_command_line_is_read_as_yaml_reads_it(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_the_command_line(value: float) -> None:
    assert parse_value(repr(value)) == value


def test_a_path_sets_what_lies_deep_and_makes_what_is_missing() -> None:
    tree: dict[str, Any] = {"a": {"b": 1}}
    set_path(tree, "a.b", 2)
    set_path(tree, "a.c.d", 3)
    set_path(tree, "e", 4)
    assert tree == {"a": {"b": 2, "c": {"d": 3}}, "e": 4}
    with pytest.raises(SpecError, match=r"--set e\.f: e is a single value and has no fields"):
        set_path(tree, "e.f", 5)


def test_every_field_has_a_path_and_its_description() -> None:
    paths = field_paths(Outer)
    assert list(paths) == ["name", "inner.rate", "inner.rows", "inner.colour", "flag"]
    assert describe(paths["inner.rows"]) == "How many."
    assert describe(paths["flag"]) == ""


def test_the_nearest_name_or_all_of_them() -> None:
    assert nearest("learning_rat", ["learning_rate", "epochs"]) == "did you mean 'learning_rate'?"
    assert nearest("qqq", ["b", "a"]) == "known: a, b"


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Outer().name = "other"  # type: ignore[misc]


def test_the_settings_of_data_describe_every_field() -> None:
    from ten.data.settings import DataSettings

    assert convert({}, DataSettings, "x") == DataSettings()
    for path, field in field_paths(DataSettings).items():
        assert describe(field), path
    for wrong in ({"seq_len": 0}, {"seed": -1}, {"seed": 2**32}, {"engine": "magic"}, {"invalid_text": "ignore"}):
        with pytest.raises(SpecError, match=next(iter(wrong))):
            convert(wrong, DataSettings, "x")
