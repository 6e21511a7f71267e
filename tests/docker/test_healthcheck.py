"""docker/healthcheck.py on a process that holds a run's folder as the trainer does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ten.runs import run_folder as folder_of
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from ten.attempt import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["folder", "object store"])
def run_folder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A run that another process trains: its folder held by the trainer's own function, nothing written yet."""
    store = LocalStore(tmp_path) if request.param == "folder" else MemoryStore()
    folder = folder_of(store, "tale", tmp_path / "cache")
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield folder
        process.stdin.close()


@pytest.fixture
def check(
    script: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], tuple[int, str]]:
    """Exit code and words of the check about one run: other tests may hold runs at the same time."""
    module = script("healthcheck")

    def look(folder: Path) -> tuple[int, str]:
        held = [(path, began) for path, began in module.held_runs(Path("/proc")) if path == folder]
        monkeypatch.setattr(module, "held_runs", lambda _proc: iter(held))
        code = module.main()
        return code, capsys.readouterr().out

    return look


def _write(folder: Path, name: str, seconds_ago: float) -> None:
    path = folder / name
    path.write_text(json.dumps({}), encoding="utf-8")
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


def test_where_nothing_trains_all_is_well(check: Callable[[Path], tuple[int, str]], tmp_path: Path) -> None:
    assert check(tmp_path) == (0, "")


def test_a_run_that_gets_ready_is_well(check: Callable[[Path], tuple[int, str]], run_folder: Path) -> None:
    _write(run_folder, "run.json", 5000)  # of an earlier attempt
    _write(run_folder, "metrics.jsonl", 5000)
    code, words = check(run_folder)
    assert (code, "getting ready" in words) == (0, True)


def test_a_run_with_a_step_lately_is_well(check: Callable[[Path], tuple[int, str]], run_folder: Path) -> None:
    _write(run_folder, "run.json", 0)
    _write(run_folder, "metrics.jsonl", 0)
    code, words = check(run_folder)
    assert (code, "s without a step" in words) == (0, True)


def test_a_run_without_a_step_for_too_long_is_not(
    check: Callable[[Path], tuple[int, str]], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(run_folder, "run.json", 0)
    monkeypatch.setenv("TEN_UNHEALTHY_AFTER", "0.2")
    time.sleep(0.4)
    code, words = check(run_folder)
    assert (code, "more than 0" in words) == (1, True)


def test_a_process_began_when_it_began(script: Callable[[str], ModuleType]) -> None:
    before = time.time()
    with subprocess.Popen(["sleep", "60"]) as process:
        assert abs(script("healthcheck").start(Path(f"/proc/{process.pid}")) - before) < 5
        process.kill()
