"""Objects of the tests of S3 stores: where they lie, their bytes, how they get there."""

import hashlib
import random
from pathlib import Path

from ten.store.protocol import Store

MIB = 2**20
BUCKET, PREFIX = "ten-test", "some/prefix/"
SMALL = random.Random(1).randbytes(MIB)
LARGE = random.Random(2).randbytes(66 * MIB)
"""More than a single request sends or fetches."""


def sha256(data: bytes) -> str:
    """The hash of bytes."""
    return hashlib.sha256(data).hexdigest()


def put(store: Store, path: Path, data: bytes, call: str) -> None:
    """Write bytes as object `a`, directly or from a file."""
    if call == "write":
        store.write("a", data)
    else:
        path.write_bytes(data)
        store.send("a", path, sha256=sha256(data), about="of a test")
