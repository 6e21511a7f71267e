"""What a stop comes to, wherever it meets the command."""

import os
import signal
import subprocess
import sys
from typing import NoReturn

import pytest

from ten import inference, run, runs
from ten.cli import main


def test_ctrl_c_among_the_imports_is_quiet() -> None:
    code = """
import sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
from ten.cli import entry
entry()
"""
    for module in ("tqdm", "ten.flags", "msgspec"):
        words = [sys.executable, "-c", code, module]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_keeps_nothing_says_only_that_it_was_stopped(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **_named: object) -> NoReturn:
        os.kill(os.getpid(), number)
        raise AssertionError("it goes on")

    monkeypatch.setattr(runs, "find_run", stopped)
    monkeypatch.setattr(inference, "generate", stopped)
    for verb in ("generate", "eval"):
        assert main([verb]) == code
        assert capsys.readouterr().err == "ten: stopped\n"


def test_who_keeps_something_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_spec: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "train", stopped)
    assert main(["train", "--set", "train.ranks=1"]) == 75
    assert "run the same command again to go on" in capsys.readouterr().err
