"""Sources: the bytes of a corpus's files, wherever these lie: on this disk or at the hub."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ten.hub.address import is_hub, parse_address
from ten.text.corpus import SourceFile
from ten.text.flow import Flow

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 2**20


def open_source(file: SourceFile, flow: Flow | None = None, until: int | None = None) -> BinaryIO:
    """A file's stored bytes, readable and seekable; those of a hub file are fetched as they are read.

    Little is read behind byte `until`, so nothing of that is fetched ahead.
    """
    if not is_hub(file.path):
        return Path(file.path).open("rb", buffering=_BUFFER_BYTES)
    from ten.hub.remote_file import RemoteFile
    from ten.hub.transport import shared_transport

    flow = flow or Flow()
    remote = RemoteFile(shared_transport(), parse_address(file.path), file.bytes, flow.ahead, until)
    return cast(BinaryIO, io.BufferedReader(_Waited(remote, flow), _BUFFER_BYTES))


class _Waited(io.RawIOBase):
    """A remote file whose reads count as time that the network took."""

    def __init__(self, file: io.RawIOBase, flow: Flow) -> None:
        super().__init__()
        self._file, self._flow = file, flow

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place of the next byte."""
        return self._file.tell()

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` with what comes next."""
        with self._flow.waiting():
            return self._file.readinto(buffer) or 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()
