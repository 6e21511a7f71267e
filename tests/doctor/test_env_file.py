"""The `.env` file: lines that others read otherwise, names given twice, who may read it; no value is ever told."""

import subprocess
from pathlib import Path

import pytest

from ten.doctor.env_file import check_alike, check_private, env_path

CANARY = "canary-4f1d"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A private file with one good line."""
    path = tmp_path / ".env"
    path.write_text(f"GOOD={CANARY}\n")
    path.chmod(0o600)
    return path


def test_a_good_file_is_read_alike_everywhere(path: Path) -> None:
    found = check_alike(path)
    assert (found.status, found.cure) == ("ok", None) and "1 variables" in found.value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"TEN_A='{CANARY} # x'\n", "make reads otherwise: TEN_A. docker --env-file reads otherwise: TEN_A"),
        (f"TEN_A={CANARY}$x\n", "make reads otherwise: TEN_A. bash reads otherwise: TEN_A"),
        (f"# comment\n\nGOOD=1\nexport TEN_A={CANARY}\n", "docker --env-file reads otherwise: TEN_A"),
        (f"GOOD=1\r\nTEN_A={CANARY}\r\n", "make reads otherwise: GOOD, TEN_A"),
        (f"TEN_A='{CANARY}\nmore'\nGOOD=1\n", "bash reads otherwise: TEN_A"),
        (f"TEN_A={CANARY}\nTEN_A=2\n", "given twice, the last one counts: TEN_A"),
        (f"\ufeffTEN_A={CANARY}\n", "byte order mark"),
    ],
)
def test_what_others_read_otherwise_is_named_and_not_shown(path: Path, content: str, told: str) -> None:
    path.write_bytes(content.encode())
    found = check_alike(path)
    assert found.status == "warn" and told in found.value and found.cure
    assert CANARY not in found.value + found.cure


def test_others_must_not_read_it(path: Path) -> None:
    assert check_private(path).status == "ok"
    path.chmod(0o644)
    found = check_private(path)
    assert found.status == "warn" and "mode 0644" in found.value and found.cure == f"chmod 600 {path}"


def test_git_must_not_have_it(path: Path) -> None:
    for command in (["git", "init", "-q"], ["git", "add", "-f", ".env"]):
        subprocess.run(command, cwd=path.parent, check=True)
    found = check_private(path)
    assert found.status == "fail" and found.cure and "git rm --cached .env" in found.cure


def test_without_a_file_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEN_ENV_FILE")
    assert env_path() is None
    assert check_alike(None).status == check_private(None).status == "skipped"
    (tmp_path / ".env").write_text("A=1\n")
    assert env_path() == Path(".env")
