"""The Makefile: every target is listed, can be taken apart by make, and none reads .env."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.*## ", TEXT, re.MULTILINE)


def test_every_target_is_phony_and_has_a_line_of_help() -> None:
    (names,) = re.findall(r"^\.PHONY: (.*)", TEXT.replace("\\\n", " "), re.MULTILINE)
    assert sorted(names.split()) == sorted(TARGETS)
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines() if line.strip()][: len(TARGETS)] == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_every_target_s_commands(target: str) -> None:
    subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)


def test_make_never_reads_the_env_file() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    assert not [line for line in lines if re.search(r"include|env-file|(^|[\s/])\.env\b", line)]


def test_nothing_newer_than_make_3_81_is_used() -> None:
    assert not re.search(r"^(\.ONESHELL|define \w+ =|\w+ ::?:?:=|\w+ !=)|\.SHELLFLAGS|\$\(file ", TEXT, re.MULTILINE)
