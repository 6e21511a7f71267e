"""Packer start: a packer process begun before anybody knows what it will pack, so that its imports hold nobody up."""

import subprocess
import sys

_STOP_S = 5.0
S3 = "s3"
"""Said to a process that will need the client of an object store."""


class StartedPacker:
    """A process that waits for its order. Whoever takes it ends it; untaken, `close` does."""

    def __init__(self, store: str) -> None:
        """`store`: the address that the order will have, as far as it is known."""
        words = [S3] if store.startswith(f"{S3}://") else []
        command = [sys.executable, "-m", "ten.data.packer_process", *words]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        self._is_taken = False

    def take(self) -> "subprocess.Popen[bytes]":
        """The process, for good."""
        self._is_taken = True
        return self._process

    def close(self) -> None:
        """End the process if nobody has taken it."""
        if self._is_taken:
            return
        self._process.kill()  # it has done nothing yet
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(_STOP_S)
