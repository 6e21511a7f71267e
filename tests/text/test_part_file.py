"""A file on its way: it grows in order, one process at a time, and appears when its content is the listed one."""

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ten.errors import DataError, DiskFull, ServiceUnavailable
from ten.text import part_file as module
from ten.text.part_file import content_id_of, hold_part, part_path
from tests.data.small import wait_until

CONTENT = os.urandom(3 * 2**20 + 17)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
GIT = f"git:{hashlib.sha1(b'blob %d' % len(CONTENT) + bytes(1) + CONTENT).hexdigest()}"
CUT = 2**20 + 5


def _never() -> bool:
    return False


@pytest.mark.parametrize("content_id", [SHA256, GIT], ids=["sha256", "git"])
def test_a_part_is_gone_on_with_where_it_ended(tmp_path: Path, content_id: str) -> None:
    target = tmp_path / "a" / "b.parquet"
    with hold_part(target, len(CONTENT), content_id, _never) as part:
        assert part is not None and part.bytes == 0
        assert [*part.extend([CONTENT[:CUT]])] == [CUT]
    assert (target.exists(), part_path(target).stat().st_size) == (False, CUT)
    with hold_part(target, len(CONTENT), content_id, _never) as part:
        assert part is not None and part.bytes == CUT
        assert [*part.extend([CONTENT[CUT:]])] == [len(CONTENT) - CUT]
        assert part.finish() is None
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["b.parquet"]


def test_wrong_content_is_thrown_away_and_may_come_again(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with hold_part(target, len(CONTENT), SHA256, _never) as part:
        assert part is not None
        [*part.extend([CONTENT[:-1], b"?"])]
        wrong = part.finish()
        assert wrong is not None and wrong.startswith("sha256:") and wrong != SHA256
        assert (part.bytes, part_path(target).stat().st_size, target.exists()) == (0, 0, False)
        [*part.extend([CONTENT])]
        assert part.finish() is None
    assert target.read_bytes() == CONTENT


def test_too_little_is_not_the_file(tmp_path: Path) -> None:
    with hold_part(tmp_path / "a", len(CONTENT) + 1, SHA256, _never) as part:
        assert part is not None
        [*part.extend([CONTENT])]
        assert part.finish() == SHA256


def test_a_part_longer_than_the_file_is_no_beginning_of_it(tmp_path: Path) -> None:
    part_path(tmp_path / "a").write_bytes(CONTENT + b"more")
    with hold_part(tmp_path / "a", len(CONTENT), SHA256, _never) as part:
        assert part is not None and part.bytes == 0


def test_what_is_whole_when_it_is_held_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    with hold_part(tmp_path / "a", len(CONTENT), SHA256, (tmp_path / "a").exists) as part:
        assert part is None
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_content_of_a_whole_file_has_the_hubs_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert content_id_of(tmp_path / "a", "sha256") == SHA256
    assert content_id_of(tmp_path / "a", "git") == GIT
    with pytest.raises(DataError, match="'md5:' is no content id"):
        content_id_of(tmp_path / "a", "md5")


_FULL = """
import resource, sys
from pathlib import Path
from ten.text.part_file import hold_part
from ten.errors import DiskFull
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with hold_part(Path(sys.argv[1]), 5000, "sha256:0", lambda: False) as part:
        [*part.extend([bytes(600), bytes(600), bytes(600)])]
except DiskFull as error:
    print(part.bytes, error)
"""


def test_a_full_disk_keeps_what_there_is_room_for(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path / "a")], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("600 ")
    assert f"{tmp_path}/a: no room to write: 4.3 KiB wanted" in run.stdout
    assert part_path(tmp_path / "a").stat().st_size == 1000


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskFull, match=r"file.*cannot write there"), hold_part(tmp_path / "file" / "a", 1, GIT, _never):
        pass


_SECOND = """
import logging, sys
from pathlib import Path
from ten.text.part_file import hold_part
logging.basicConfig(level="INFO", format="%(message)s")
target = Path(sys.argv[1])
with hold_part(target, int(sys.argv[2]), sys.argv[3], target.exists) as part:
    print(part is None)
"""


def test_a_second_process_waits_and_finds_it_whole(tmp_path: Path) -> None:
    target, said = tmp_path / "a", tmp_path / "said"
    command = [sys.executable, "-c", _SECOND, str(target), str(len(CONTENT)), SHA256]
    with hold_part(target, len(CONTENT), SHA256, target.exists) as part, said.open("wb") as log:
        assert part is not None
        second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        wait_until(lambda: b"another process is fetching it; waiting" in said.read_bytes())
        [*part.extend([CONTENT])]
        assert part.finish() is None
    assert second.communicate(timeout=60)[0] == b"True\n"
    assert second.returncode == 0
    assert target.read_bytes() == CONTENT
    assert not part_path(target).exists()


def test_a_holder_that_gets_nowhere_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STALL_S", 0.1)
    monkeypatch.setattr(module, "_POLL_S", 0.01)
    monkeypatch.setenv("TEN_PATIENCE", "0.05s")
    target = tmp_path / "a"
    with hold_part(target, len(CONTENT), SHA256, _never) as part:
        assert part is not None
        with pytest.raises(ServiceUnavailable, match=rf"{part_path(target)}: another process holds it"):
            hold_part(target, len(CONTENT), SHA256, _never).__enter__()


def test_a_file_system_without_locks_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with hold_part(tmp_path / "a", len(CONTENT), SHA256, _never) as part:
        assert part is not None
        [*part.extend([CONTENT])]
        assert part.finish() is None
