"""What the terminal shows: messages and progress on stderr, results on stdout; no bars where there is no terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


class _TerminalHandler(logging.Handler):
    """Writes records to stderr without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        tqdm.write(f"{mark}{record.getMessage()}", file=sys.stderr)


def show_messages() -> None:
    """Send the package's messages to the terminal."""
    logger = logging.getLogger("ten")
    logger.handlers[:] = [_TerminalHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False


@contextmanager
def progress(label: str, total: float, unit: str, done: float = 0) -> Iterator["tqdm[Any]"]:
    """A progress bar with rate and remaining time; silent when stderr is no terminal."""
    with tqdm(
        desc=label,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=True,
        dynamic_ncols=True,
        file=sys.stderr,
        disable=None,
    ) as bar:
        yield bar
