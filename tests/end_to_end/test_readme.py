"""The README's commands, run as it says them, only shorter."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins import hub_corpora
from tests.standins.hub import Hub

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT = ["--steps", "2", "--seq-len", "64", "--batch-size", "2", "--set", "train.evaluate_tokens=1K"]


@pytest.fixture(scope="module", autouse=True)
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A stand-in with data sets laid out like those that the README names."""
    root = tmp_path_factory.mktemp("hub")
    hub_corpora.fineweb_edu(root, files=1)
    hub_corpora.wikitext(root)
    with Hub(root) as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", served.endpoint)
        yield


def _run(command: str, store: Path, *more: str) -> str:
    program, *words = shlex.split(command, comments=True)
    assert program == ".venv/bin/ten"
    done = subprocess.run(
        [sys.executable, "-m", "ten.cli", *words, *more],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "TEN_STORE": str(store)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_demo_packs_trains_and_writes_text_and_a_page(tmp_path: Path) -> None:
    said = subprocess.run(["make", "-n", "demo"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    pack, train, generate, report = (line for line in said.splitlines() if line.startswith(".venv/bin/ten "))
    assert "packed" in _run(pack, tmp_path)
    assert "bits per byte" in _run(train, tmp_path, *SHORT, "--set", "train.evaluate_every=0")
    assert _run(generate, tmp_path).startswith("def ")
    assert "report.html" in _run(report, tmp_path)


@pytest.mark.parametrize("command", re.findall(r"^(\.venv/bin/ten .*)$", README, re.MULTILINE))
def test_commands_do_what_they_say(command: str, tmp_path: Path) -> None:
    trains = command.split()[1] == "train"
    assert _run(command, tmp_path, *(SHORT if trains else ())).strip()


@pytest.mark.parametrize("mode", ["streaming", "pretok", "full"])
def test_make_trains_in_every_mode(mode: str, tmp_path: Path) -> None:
    for target in ("pack", f"train-{mode}") if mode == "pretok" else (f"train-{mode}",):
        command = ["make", target, "DRY=1", "ENGINE=none"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        (command_line,) = (line for line in said.splitlines() if line.startswith(".venv/bin/ten "))
        _run(command_line, tmp_path, *(SHORT if target != "pack" else ()))
    assert list(tmp_path.glob(f"runs/train-{mode}-stdlib-nano/checkpoints/step-00000002/COMPLETE"))


def test_the_python_of_the_readme_loads_an_exported_run(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    _run(".venv/bin/ten train --config nano --dataset stdlib --streaming", tmp_path / "store", *SHORT)
    (command, name) = re.findall(r"^ten (export \S+ --to) (\S+)", README, re.MULTILINE)[0]
    assert name in _run(f".venv/bin/ten {command} {tmp_path / name}", tmp_path / "store")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("def main():")
    assert "\nimport " in said.stdout
