"""A program in a real pseudo-terminal, and the screen that a person would see."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_CONTROL = re.compile(r"\x1b\[(\d*)([A-Za-z])|\r|\n|[^\x1b\r\n]")


class Terminal:
    """Runs Python code with stdin, stdout and stderr on a pseudo-terminal of `columns` by `rows`."""

    def __init__(self, code: str, *, columns: int = 80, rows: int = 24) -> None:
        self._master, slave = pty.openpty()
        self.output = b""
        self._widths: list[tuple[int, int]] = []
        self.resize(columns, rows)
        environment = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path.cwd())}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, columns: int, rows: int) -> None:
        """Give it another size, as a person does who drags a window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._widths.append((len(self.output), columns))

    def type(self, keys: bytes) -> None:
        """Press keys; b"\\x03" is Ctrl-C."""
        os.write(self._master, keys)

    def wait_for(self, text: str, within_s: float = 20.0) -> None:
        """Read until the text has come."""
        deadline = time.monotonic() + within_s
        while text.encode() not in self.output:
            assert time.monotonic() < deadline, self.output.decode(errors="replace")
            self._read(0.1)

    def finish(self, within_s: float = 20.0) -> int:
        """Read until the program ends; its exit code."""
        deadline = time.monotonic() + within_s
        while self._read(0.1) or self.process.poll() is None:
            assert time.monotonic() < deadline, self.output.decode(errors="replace")
        return self.process.wait()

    def screen(self) -> list[str]:
        """Lines as they stand, to the last one that is not empty; long ones are wrapped, at the width of their time."""
        ends = [*(begin for begin, _ in self._widths[1:]), len(self.output)]
        return draw(
            [
                (self.output[begin:end].decode(errors="replace"), columns)
                for (begin, columns), end in zip(self._widths, ends, strict=True)
            ]
        )

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the last process has let go of it
            return False
        self.output += data
        return bool(data)


def draw(outputs: list[tuple[str, int]]) -> list[str]:
    """What a terminal shows of outputs, each at a number of columns; knows the controls that tqdm and the panel use."""
    lines: list[list[str]] = [[]]
    row = column = 0
    for output, columns in outputs:
        for found in _CONTROL.finditer(output):
            text = found[0]
            if text == "\r":
                column = 0
            elif text == "\n":
                row, column = row + 1, 0
            elif found[2] == "A":
                row = max(0, row - int(found[1] or 1))
            elif found[2] == "J":
                lines[row:] = [lines[row][:column]]
            elif found[2] is None:
                if column >= columns:
                    row, column = row + 1, 0
                lines += [[] for _ in range(row + 1 - len(lines))]
                lines[row] += [" "] * (column + 1 - len(lines[row]))
                lines[row][column] = text
                column += 1
            lines += [[] for _ in range(row + 1 - len(lines))]
    shown = ["".join(line).rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown
