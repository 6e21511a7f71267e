"""A small disk: a file system in memory of a fixed size, which can be filled; a plain folder where none may be made."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_BLOCK = 4096


class SmallDisk:
    """A disk at `folder` of `size` bytes, as a context."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self._size = folder, size
        self._ballast = folder / "ballast"
        self.can_be_filled = False
        """Whether it is a file system of its own: mounting one is for root."""

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "soak", str(self.folder)]
        if shutil.which("mount"):
            self.can_be_filled = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.can_be_filled:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self, left: int) -> None:
        """Leave `left` bytes free, to the next block."""
        if not self.can_be_filled:
            raise ValueError(f"{self.folder} is on a disk that others use")
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                free = shutil.disk_usage(self.folder).free - left
                if free < _BLOCK:
                    return
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free // _BLOCK * _BLOCK)

    def make_room(self) -> None:
        """Take away what filled it."""
        self._ballast.unlink(missing_ok=True)
