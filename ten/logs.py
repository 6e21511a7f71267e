"""What the terminal shows: messages and progress on stderr, results on stdout; no bars where there is no terminal."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tqdm import tqdm

REPORT_S = 30.0
"""Seconds between two lines about progress where no bar is shown."""
_REDRAW_S = 1.0


class _TerminalHandler(logging.Handler):
    """Writes records to stderr without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        with suppress(OSError):  # a terminal that has gone holds nothing up, least of all who cleans up
            tqdm.write(f"{mark}{record.getMessage()}", file=sys.stderr)


def show_messages() -> None:
    """Send the package's messages to the terminal."""
    logger = logging.getLogger("ten")
    logger.handlers[:] = [_TerminalHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # tqdm makes its lock in the middle of the first message, where an interrupt becomes an AttributeError.
    tqdm.set_lock(threading.RLock())


@contextmanager
def said_when_slow(log: logging.Logger, after_s: float, words: str, *values: object) -> Iterator[None]:
    """Within the block, say something when it takes longer than that."""
    timer = threading.Timer(after_s, log.info, (words, *values))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def has_terminal() -> bool:
    """Whether stderr is a terminal that shows anything: one of no columns, as `script` may make it, does not."""
    if not sys.stderr.isatty():
        return False
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # something that only says it is a terminal
        return True


@contextmanager
def progress(label: str, total: float, unit: str, done: float = 0) -> Iterator["tqdm[Any]"]:
    """A progress bar with rate and remaining time; silent where no terminal shows it."""
    with tqdm(
        desc=label,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=True,
        dynamic_ncols=True,
        file=sys.stderr,
        disable=not has_terminal(),
    ) as bar:
        yield bar


@contextmanager
def reporting(bar: "tqdm[Any]", tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` every half minute where the bar does not show, and keep the bar's clock going where it does.

    From a thread: a wait for the network is told too, while nothing gets done.
    """
    ended = threading.Event()
    act, every_s = (tell, REPORT_S) if bar.disable else (bar.refresh, _REDRAW_S)

    def report() -> None:
        while not ended.wait(every_s):
            act()

    thread = threading.Thread(target=report, name="report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
