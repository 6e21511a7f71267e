"""What the terminal shows."""

import io
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from tqdm import tqdm

from ten import logs


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """Undo `show_messages` for the tests after."""
    logger = logging.getLogger("ten")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_an_interrupt_in_the_first_message_finds_the_lock_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_lock: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.delattr(tqdm, "_lock", raising=False)
    monkeypatch.setattr("tqdm.std.TqdmDefaultWriteLock.__init__", interrupted)
    logs.show_messages()
    logging.getLogger("ten").info("the first")


def test_a_terminal_that_has_gone_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", _Gone())
    logs.show_messages()
    logging.getLogger("ten.cloud.up").warning("destroying it")


class _Gone(io.StringIO):
    """What `ten up 2>&1 | tee log` writes to once Ctrl-C has ended `tee`."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_messages_go_to_stderr_and_warnings_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_messages()
    logger = logging.getLogger("ten.data.pack")
    logger.debug("not shown")
    logger.info("%d shards", 3)
    logger.warning("100% damaged")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "3 shards\nwarning: 100% damaged\n"


def test_asking_twice_says_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.show_messages()
    logs.show_messages()
    logging.getLogger("ten").info("once")
    assert capsys.readouterr().err == "once\n"


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with logs.progress("pack", 10, "B", done=2) as bar:
        bar.update(5)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_where_there_is_no_bar_a_line_comes_while_nothing_gets_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "REPORT_S", 0.01)
    told = threading.Event()
    with logs.progress("pack", 10, "B") as bar, logs.reporting(bar, told.set):
        assert told.wait(10)
