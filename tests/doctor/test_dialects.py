"""Dialects: what we say make and bash read, make and bash read."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ten.doctor.dialects import READERS, in_bash, in_docker, in_make, readers_that_differ

_LETTERS = st.sampled_from(list("aZ09 \t#$'\"\\`~=:/+-_.,;&|<>()*?[]{}!%@^é"))
_VALUES = st.text(_LETTERS, max_size=12)
_CLEAN = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
CORPUS = [
    ("A=plain", []),
    ("A=wJalr/K7MD+ENG/bPx=", []),
    ("A=a=b==", []),
    ("A=", []),
    ('A="quoted value"', ["make", "docker --env-file"]),
    ("A='single $HOME'", ["make", "docker --env-file"]),
    ("A=hash#tag", ["make"]),
    ("A=va$lue", ["make", "bash"]),
    ("A=abc # a comment", ["make", "docker --env-file"]),
    ("A=several words", ["bash"]),
    ("A=`id`", ["bash"]),
    ("A=a;b", ["bash"]),
    ("A=~/cache", ["bash"]),
    (r"A=a\nb", ["make", "bash"]),
    ("A = b", ["bash", "docker --env-file"]),
    ("export A=yes", ["docker --env-file"]),
    ("A=plain\r", ["make", "bash"]),
    ("A=plain ", ["make", "docker --env-file"]),
    ("A=plain \r", ["make", "bash", "docker --env-file"]),
]


def _parsed(line: str) -> str:
    from io import StringIO

    from dotenv.parser import parse_stream

    (binding,) = [binding for binding in parse_stream(StringIO(line)) if binding.key]
    return binding.value or ""


@pytest.mark.parametrize(("line", "expected"), CORPUS)
def test_lines_that_are_known_to_be_read_otherwise_are_found(line: str, expected: list[str]) -> None:
    assert readers_that_differ(line, _parsed(line)) == expected


def test_a_value_of_several_lines_is_nobody_elses() -> None:
    assert readers_that_differ("A='one\ntwo'", "one\ntwo") == list(READERS)


def _named(values: list[str]) -> list[str]:
    return [f"N{number}={value}" for number, value in enumerate(values)]


@settings(max_examples=25)
@given(values=st.lists(_VALUES, min_size=10, max_size=40))
def test_bash_reads_what_we_say(values: list[str]) -> None:
    lines = [line for line in _named(values) if in_bash(line) is not None]
    names = [line.partition("=")[0] for line in lines]
    script = "\n".join([*lines, *(f"printf '%s\\0' \"${name}\"" for name in names)])
    done = subprocess.run(["bash", "-eu"], input=script.encode(), env=_CLEAN, capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == [in_bash(line) for line in lines]


@settings(max_examples=25)
@given(values=st.lists(_VALUES, min_size=10, max_size=40))
def test_make_reads_what_we_say(values: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = [line for line in _named(values) if in_make(line) is not None]
    path: Path = tmp_path_factory.mktemp("make") / "Makefile"
    names = [line.partition("=")[0] for line in lines]
    recipe = "".join(f"\t@printenv {name}; printf '\\0'\n" for name in names)
    path.write_text("\n".join([*lines, f"export {' '.join(names)}", "all:", recipe or "\t@true"]), encoding="utf-8")
    done = subprocess.run(["make", "-s", "-f", str(path)], env=_CLEAN, capture_output=True, check=True)
    assert [said.removesuffix("\n") for said in done.stdout.decode().split("\0")[:-1]] == [
        in_make(line) for line in lines
    ]


def test_docker_keeps_everything_behind_the_first_equals_sign() -> None:
    assert in_docker("A='b' # c=d ") == "'b' # c=d "
    assert in_docker("export A=b") is None
    assert in_docker("A =b") is None
