"""Moto's S3 server as a process: `python -m tests.standins.s3_moto` prints its port, and ends when its input does."""

import functools
import io
import logging
import sys
from typing import Any

from moto.s3.models import FakeKey
from moto.server import ThreadedMotoServer

_REMEMBERED = 8


@functools.lru_cache(maxsize=_REMEMBERED)
def _whole(key: FakeKey, _buffer: io.IOBase, _bytes: int) -> Any:
    """All of an object: moto alone reads it once for each range of it, which is slower than any real store."""
    return _VALUE.fget(key)


_VALUE: Any = FakeKey.value  # a property, though moto's hints do not say so


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    remembering = property(lambda key: _whole(key, key._value_buffer, key.contentsize), _VALUE.fset)
    setattr(FakeKey, "value", remembering)  # noqa: B010 (the same)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    sys.stdout.write(f"{server.get_host_and_port()[1]}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
