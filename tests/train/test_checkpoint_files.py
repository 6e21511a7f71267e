"""Checkpoint folders: a reader sees a whole one or none, whenever the writer dies."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ten.errors import DataError, DiskFull
from ten.train import checkpoint_files as files


class Killed(BaseException):
    """The process ends here: no handler of the program runs."""


def content(step: int) -> dict[str, files.Content]:
    return {
        "weights": lambda: [bytes([step]) * 1000, bytes([step + 1]) * 500],
        "state.json": lambda: [f'{{"step": {step}}}'.encode()],
    }


def publish(folder: Path, step: int) -> Path:
    return files.publish(folder, step, content(step), expected_bytes=1600)


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != files.SEAL}


def expected(step: int) -> dict[str, bytes]:
    return {name: b"".join(pieces()) for name, pieces in content(step).items()}


def die_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process at the `call`-th system call that changes the disk; writes get half through first."""
    counter = 0

    def dying(real: Callable[..., Any], torn: bool = False) -> Callable[..., Any]:
        def replaced(*args: Any, **kwargs: Any) -> Any:
            nonlocal counter
            counter += 1
            if counter == call:
                if torn:
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise Killed
            return real(*args, **kwargs)

        return replaced

    monkeypatch.setattr(os, "write", dying(os.write, torn=True))
    for name in ("fsync", "mkdir", "rename", "rmdir", "unlink"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def test_what_was_published_is_found_and_whole(tmp_path: Path) -> None:
    assert files.find_newest(tmp_path / "none") is None
    for step in (5, 10):
        folder = publish(tmp_path, step)
        assert files.find_newest(tmp_path) == folder
        assert read(folder) == expected(step)
    assert files.find_damage(folder) is None


@pytest.mark.parametrize("again", [False, True])
def test_a_kill_at_any_moment_of_writing_leaves_the_old_or_the_new_checkpoint(tmp_path: Path, again: bool) -> None:
    survived = 0
    for call in range(1, 60):
        folder = tmp_path / str(call)
        publish(folder, 5)
        if again:
            (publish(folder, 10) / "weights").write_bytes(b"damaged")
        with pytest.MonkeyPatch.context() as monkeypatch:
            die_at(call, monkeypatch)
            try:
                publish(folder, 10)
            except Killed:
                pass
            else:
                survived += 1
        found = files.find_newest(folder)
        assert found is not None
        assert read(found) == expected(files.step_of(found))
        files.clean(folder)
        assert files.find_newest(folder) == found
        assert read(publish(folder, 10)) == expected(10)
    assert 0 < survived < 50


def test_a_kill_at_any_moment_of_retention_leaves_only_whole_checkpoints(tmp_path: Path) -> None:
    for call in range(1, 12):
        folder = tmp_path / str(call)
        for step in (1, 2, 3):
            newest = publish(folder, step)
        with pytest.MonkeyPatch.context() as monkeypatch:
            die_at(call, monkeypatch)
            with contextlib.suppress(Killed):
                files.retain(folder, 1, newest)
        assert all(files.find_damage(one) is None for one in files.complete(folder))
        assert files.find_newest(folder) == newest


def test_kill_minus_nine_of_a_real_writer_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from ten.train import checkpoint_files as files\n"
        "for step in range(1, 10**6):\n"
        "    data = step.to_bytes(8, 'little') * 20_000\n"
        "    folder = pathlib.Path(sys.argv[1])\n"
        "    files.publish(folder, step, {'w': lambda: [data], 's': lambda: [data[:8]]}, expected_bytes=1)\n"
        "    files.retain(folder, 2, folder / files.folder_name(step))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    while not files.complete(tmp_path):
        time.sleep(0.02)
    for _ in range(3):
        time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    writer.wait(timeout=10)
    found = files.find_newest(tmp_path)
    assert found is not None
    assert (found / "w").read_bytes() == files.step_of(found).to_bytes(8, "little") * 20_000
    files.clean(tmp_path)
    assert all(files.find_damage(folder) is None for folder in tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "seal"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = publish(tmp_path, 5), publish(tmp_path, 10)
    weights = bytearray((bad / "weights").read_bytes())
    if damage == "flip":
        weights[700] ^= 1
        (bad / "weights").write_bytes(weights)
    elif damage == "cut":
        (bad / "weights").write_bytes(weights[:-1])
    elif damage == "missing":
        (bad / "weights").unlink()
    else:
        (bad / files.SEAL).write_bytes(b"")
    assert files.find_newest(tmp_path) == good
    assert str(bad) in caplog.text


def test_only_damaged_checkpoints_are_an_error_and_no_fresh_start(tmp_path: Path) -> None:
    for step in (5, 10):
        (publish(tmp_path, step) / "weights").write_bytes(b"x")
    with pytest.raises(DataError, match=r"step-00000010, step-00000005"):
        files.find_newest(tmp_path)


def test_checkpoints_that_their_trainer_replaces_while_one_looks_are_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find_damage = files.find_damage

    def replaced_meanwhile(folder: Path) -> str | None:
        files.retain(tmp_path, 1, publish(tmp_path, 8))
        return find_damage(folder)

    publish(tmp_path, 4)
    monkeypatch.setattr(files, "find_damage", replaced_meanwhile)
    assert files.find_newest(tmp_path) == tmp_path / "step-00000008"
    assert "damaged" not in caplog.text


def test_a_checkpoint_under_another_steps_name_is_damaged(tmp_path: Path) -> None:
    publish(tmp_path, 5).rename(tmp_path / files.folder_name(7))
    with pytest.raises(DataError):
        files.find_newest(tmp_path)


def test_leftovers_of_killed_writers_are_removed_and_whole_ones_stay(tmp_path: Path) -> None:
    good = publish(tmp_path, 5)
    (tmp_path / ".writing-step-00000010").mkdir()
    (tmp_path / ".writing-step-00000010" / "weights").write_bytes(b"half")
    (publish(tmp_path, 20) / files.SEAL).unlink()
    (tmp_path / "notes.txt").write_text("mine")
    files.clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", good.name]


def test_retention_keeps_the_newest_and_never_deletes_the_last_good_one(tmp_path: Path) -> None:
    folders = [publish(tmp_path, step) for step in range(1, 6)]
    files.retain(tmp_path, 2, folders[-1])
    assert files.complete(tmp_path) == folders[-2:]
    folders = [publish(tmp_path, step) for step in (7, 8, 9)]
    files.retain(tmp_path, 1, folders[0])
    assert files.complete(tmp_path) == [folders[0], folders[-1]]


def test_too_little_room_is_refused_before_writing_with_path_and_sizes(tmp_path: Path) -> None:
    good = publish(tmp_path, 5)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(DiskFull, match=r"needs \d.* are free.*checkpoint\.keep_last") as caught:
        files.publish(tmp_path, 10, content(10), expected_bytes=free * 2)
    assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


@pytest.mark.parametrize("call", range(1, 12))
def test_a_disk_that_fills_up_while_writing_leaves_older_checkpoints_intact(
    tmp_path: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = publish(tmp_path, 5)
    calls = 0
    real = {name: getattr(os, name) for name in ("write", "fsync", "rename")}

    def full(name: str) -> Callable[..., Any]:
        def replaced(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real[name](*args)

        return replaced

    for name in real:
        monkeypatch.setattr(os, name, full(name))
    with pytest.raises(DiskFull, match="No space left"):
        publish(tmp_path, 10)
    monkeypatch.undo()
    assert files.find_newest(tmp_path) == good
    assert read(good) == expected(5)
    assert not [path for path in tmp_path.iterdir() if path != good]


def test_a_real_limit_on_file_size_is_a_full_disk(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys, pathlib; from ten.train import checkpoint_files as files\n"
        "from ten.errors import DiskFull\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "files.publish(folder, 1, {'w': lambda: [b'x' * 1000]}, expected_bytes=1000)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    files.publish(folder, 2, {'w': lambda: [b'x' * 10_000]}, expected_bytes=10_000)\n"
        "except DiskFull as error:\n"
        "    print(error); sys.exit(error.exit_code)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert ran.returncode == DiskFull.exit_code, ran.stderr
    assert "File too large" in ran.stdout
    assert files.find_newest(tmp_path) == tmp_path / files.folder_name(1)


def test_a_folder_that_cannot_be_made_is_a_full_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskFull, match="checkpoints: cannot write"):
        publish(tmp_path / "file" / "checkpoints", 1)


def test_a_seal_that_names_files_elsewhere_is_damaged() -> None:
    file = files.FileSeal(sha256="0" * 64, bytes=1)
    for name in ("../state.json", "/etc/passwd", "a/b", "..", "a\0b"):
        data = msgspec.json.encode(files.Seal(step=1, files={name: file}))
        with pytest.raises(DataError, match="no name of a file beside it"):
            files.decode_seal(data, "here")
