"""A process killed in the middle of a transfer leaves nothing that the next one does not use or clear away."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.store.protocol import Store
from tests.standins.s3 import S3Stand, without_stores
from tests.standins.s3_faults import Fault

pytestmark = pytest.mark.timeout(90)
MIB = 2**20
BUCKET, KEY = "ten-test", "some/prefix/a"
DATA = random.Random(3).randbytes(72 * MIB)
SHA256 = hashlib.sha256(DATA).hexdigest()
FETCH = "store.fetch('a', path, sha256=sha256)"
SEND = "store.send('a', path, sha256=sha256)"


@pytest.fixture
def part(path: Path) -> Path:
    """What a fetch leaves when it is killed."""
    return path.with_name("object.part")


def transfer(stand: S3Stand, address: str, path: Path, what: str) -> "subprocess.Popen[str]":
    """A process that fetches or sends the object."""
    program = (
        "import sys; from pathlib import Path; from ten.store.opening import open_store\n"
        f"address, path, sha256 = sys.argv[1], Path(sys.argv[2]), sys.argv[3]\nstore = open_store(address)\n{what}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, address, str(path), SHA256],
        env=without_stores(os.environ) | stand.environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end_when(process: "subprocess.Popen[str]", when: Callable[[], bool], by: signal.Signals) -> str:
    """Send a process a signal as soon as something has come to be; what it said until it ended, within seconds."""
    try:
        deadline = time.monotonic() + 30
        while not when():
            assert process.poll() is None and time.monotonic() < deadline, "it did not come to be"
            time.sleep(0.01)
        process.send_signal(by)
        return process.communicate(timeout=10)[1]
    finally:
        process.kill()
        process.communicate()


def test_a_killed_fetch_goes_on_where_it_was(
    store: Store, address: str, stand: S3Stand, path: Path, part: Path
) -> None:
    stand.put(BUCKET, KEY, DATA)
    stand.set(throttle=4 * MIB)
    process = transfer(stand, address, path, FETCH)
    end_when(process, lambda: part.exists() and part.stat().st_size >= 8 * MIB, signal.SIGKILL)
    kept = part.stat().st_size
    assert 8 * MIB <= kept < len(DATA)
    stand.clear()
    heard: list[int] = []
    store.fetch("a", path, sha256=SHA256, advance=heard.append)
    assert path.read_bytes() == DATA
    assert not part.exists()
    again = [request for request in stand.log("GET") if request.key == KEY]
    assert sum(request.sent for request in again) == len(DATA) - kept
    assert min(request.span[0] for request in again) == kept


def test_what_is_left_of_another_object_is_dropped(store: Store, stand: S3Stand, path: Path, part: Path) -> None:
    stand.put(BUCKET, KEY, DATA)
    part.write_bytes(bytes(10 * MIB))
    store.fetch("a", path, sha256=SHA256)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("more", [0, 1])
def test_a_part_file_as_long_as_the_object_or_longer_is_judged_by_its_hash(
    store: Store, stand: S3Stand, path: Path, part: Path, more: int
) -> None:
    stand.put(BUCKET, KEY, DATA)
    part.write_bytes(DATA + bytes(more))
    store.fetch("a", path, sha256=SHA256)
    assert path.read_bytes() == DATA


def test_a_killed_upload_is_cleared_away_by_the_next(store: Store, address: str, stand: S3Stand, path: Path) -> None:
    path.write_bytes(DATA)
    stand.set(throttle=4 * MIB)
    process = transfer(stand, address, path, SEND)
    end_when(process, lambda: any("partNumber" in request.query for request in stand.log("PUT")), signal.SIGKILL)
    assert len(stand.uploads(BUCKET)) == 1
    assert stand.keys(BUCKET, KEY) == []
    stand.clear()
    store.send("a", path, sha256=SHA256)
    assert hashlib.sha256(stand.get(BUCKET, KEY)).hexdigest() == SHA256
    assert stand.uploads(BUCKET) == []  # moto says of each that it was begun years ago


def test_an_interrupted_upload_is_aborted(address: str, stand: S3Stand, path: Path) -> None:
    path.write_bytes(DATA)
    stand.bucket(BUCKET)
    stand.set(throttle=4 * MIB)
    process = transfer(stand, address, path, SEND)
    said = end_when(process, lambda: any("partNumber" in got.query for got in stand.log("PUT")), signal.SIGINT)
    assert "KeyboardInterrupt" in said
    assert stand.uploads(BUCKET) == []
    assert stand.keys(BUCKET, KEY) == []


@pytest.mark.parametrize(("what", "method"), [(FETCH, "GET"), (SEND, "PUT")])
def test_ctrl_c_ends_a_transfer_that_is_stuck(
    address: str, stand: S3Stand, path: Path, part: Path, what: str, method: str
) -> None:
    if what is FETCH:
        stand.put(BUCKET, KEY, DATA)
    else:
        path.write_bytes(DATA)
    stand.add(Fault("stall", f"{method} .*/a", after=2, count=-1))
    process = transfer(stand, address, path, what)
    said = end_when(process, lambda: any(request.fault for request in stand.log(method)), signal.SIGINT)
    assert "KeyboardInterrupt" in said
    assert process.returncode == -signal.SIGINT
