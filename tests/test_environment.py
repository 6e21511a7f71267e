"""What a `.env` file adds to a process's environment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ten.environment import load_environment
from ten.errors import MissingInput, SpecError

ROOT = Path(__file__).parents[1]
PRINT = "import json, os; from ten.environment import load_environment as l; l(); print(json.dumps(dict(os.environ)))"


def _loaded(folder: Path, **environment: str) -> dict[str, str]:
    """The environment of a real process in a folder after it has loaded what it should."""
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", PRINT], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_values_arrive_whole(tmp_path: Path) -> None:
    lines = [
        "\ufeff# a comment first",
        "DOLLARS=$HOME${PATH}$$x$(id)`id`",
        "HASH=abc#def",
        "COMMENTED=abc # def",
        "SPACES=several words and  spaces",
        "QUOTED='single # $HOME \"double\"'",
        'DOUBLE="double # $HOME it\'s"',
        'INNER=it\'s a "word"',
        "EQUALS=a=b==",
        r"BACKSLASH=a\nb\\c",
        "export EXPORTED=yes",
        "EMPTY=",
        "SLASHES=wJalr/K7MD+ENG/bPx=",
    ]
    (tmp_path / ".env").write_bytes("\r\n".join(lines).encode())
    found = _loaded(tmp_path)
    assert {name: found[name] for name in found if name in "\n".join(lines)} | {"PATH": ""} == {
        "DOLLARS": "$HOME${PATH}$$x$(id)`id`",
        "HASH": "abc#def",
        "COMMENTED": "abc",
        "SPACES": "several words and  spaces",
        "QUOTED": 'single # $HOME "double"',
        "DOUBLE": "double # $HOME it's",
        "INNER": 'it\'s a "word"',
        "EQUALS": "a=b==",
        "BACKSLASH": r"a\nb\\c",
        "EXPORTED": "yes",
        "EMPTY": "",
        "SLASHES": "wJalr/K7MD+ENG/bPx=",
        "PATH": "",
    }


def test_what_is_set_stays(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEN_STORE=file\nTEN_CACHE_DIR=file\nHF_TOKEN=file\n")
    found = _loaded(tmp_path, TEN_STORE="set", TEN_CACHE_DIR="")
    assert (found["TEN_STORE"], found["TEN_CACHE_DIR"], found["HF_TOKEN"]) == ("set", "", "file")


def test_of_a_name_given_twice_the_last_counts_here_and_in_the_shell(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEN_CANARY=first\nTEN_CANARY=last\n")
    assert _loaded(tmp_path)["TEN_CANARY"] == "last"
    script = f'{sys.executable} -m ten.environment >lines; . ./lines; echo "$TEN_CANARY"'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "last"


def test_another_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=here\nB=here\n")
    (tmp_path / "keys").write_text("A=named\n")
    found = _loaded(tmp_path, TEN_ENV_FILE="keys")
    assert found["A"] == "named" and "B" not in found
    assert "A" not in _loaded(tmp_path, TEN_ENV_FILE=os.devnull)


def test_without_a_file_nothing_is_imported_or_set(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()  # as virtual environments are called at times
    code = "import sys; from ten.environment import load_environment as l; l(); print('dotenv' in sys.modules)"
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that this process is told to load, and whose variables go again."""
    path = tmp_path / "keys.env"
    monkeypatch.setenv("TEN_ENV_FILE", str(path))
    monkeypatch.setenv("TEN_CANARY", "set before")
    return path


@pytest.mark.parametrize(
    "line", ["canary-4f1d", "TEN CANARY=canary-4f1d", "TEN_CANARY='canary-4f1d", "'a=b'=canary-4f1d", "1A=canary-4f1d"]
)
def test_a_line_that_is_none_is_named_and_not_shown(env_file: Path, line: str) -> None:
    env_file.write_text(f"# first\n\nTEN_CANARY=x\n\n\n{line}\n")
    with pytest.raises(SpecError, match=r"keys\.env:6: not of the form NAME=value") as raised:
        load_environment()
    assert "canary-4f1d" not in str(raised.value)


def test_a_file_that_is_no_text_or_not_there_is_named(env_file: Path) -> None:
    with pytest.raises(MissingInput, match=r"keys\.env: cannot be read: No such file.*TEN_ENV_FILE"):
        load_environment()
    env_file.write_bytes(b"TEN_CANARY=\xff\n")
    with pytest.raises(SpecError, match=r"keys\.env: is not UTF-8"):
        load_environment()


def test_the_command_line_takes_its_defaults_from_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEN_STORE='a store #1'\n")
    (tmp_path / "tale.txt").write_text("once upon a time " * 50)
    command = [sys.executable, "-m", "ten.cli", "pack", "--dataset", "tale.txt"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("a store #1/packs/tale-*/manifest.json"))
    (tmp_path / ".env").write_text("TEN_STORE\n")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "ten: .env:1: not of the form NAME=value" in done.stderr


def test_the_example_has_every_documented_variable_and_sets_none(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    table = (ROOT / "docs" / "job-file.md").read_text(encoding="utf-8").partition("## Environment")[2]
    rows = [line.split("|")[1] for line in table.partition("## ")[0].splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    offered = set(re.findall(r"^#([A-Z]\w+)=", text, re.MULTILINE))
    assert {name for name in offered if "__" not in name} == documented - {"TEN_ENV_FILE"}
    (tmp_path / ".env").write_text(text)
    assert not _loaded(tmp_path).keys() & offered
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z]\w+=)", "", text, flags=re.MULTILINE))
    assert _loaded(tmp_path).keys() >= offered
