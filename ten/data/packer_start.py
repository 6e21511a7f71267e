"""Packer start: a packer process begun before anybody knows what it will pack, so that its imports hold nobody up."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

_STOP_S = 5.0
S3 = "s3"
"""Said to a process that will need the client of an object store."""
STACKS = "stacks="
"""And the descriptor to write its stacks to when SIGURG asks for them, which harms nobody who does not listen yet."""
_ANSWER_S = 2.0


class StartedPacker:
    """A process that waits for its order. Whoever takes it ends it; untaken, `close` does."""

    def __init__(self, store: str) -> None:
        """`store`: the address that the order will have, as far as it is known."""
        words = [S3] if store.startswith(f"{S3}://") else []
        self._stacks, name = tempfile.mkstemp()
        Path(name).unlink()
        weakref.finalize(self, os.close, self._stacks)
        command = [sys.executable, "-m", "ten.data.packer_process", *words, f"{STACKS}{self._stacks}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, pass_fds=[self._stacks]
        )
        self._is_taken = False

    def take(self) -> "subprocess.Popen[bytes]":
        """The process, for good."""
        self._is_taken = True
        return self._process

    def stacks(self) -> str:
        """Where all threads of the process are now, or what became of it."""
        if (code := self._process.poll()) is not None:
            return f"it has ended with {code}"
        before = os.fstat(self._stacks).st_size
        self._process.send_signal(signal.SIGURG)
        deadline, size = time.monotonic() + _ANSWER_S, before
        while time.monotonic() < deadline:
            time.sleep(0.1)
            last, size = size, os.fstat(self._stacks).st_size
            if before < last == size:
                break
        return os.pread(self._stacks, size - before, before).decode(errors="replace") or "it does not answer"

    def close(self) -> None:
        """End the process if nobody has taken it."""
        if self._is_taken:
            return
        self._process.kill()  # it has done nothing yet
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(_STOP_S)
