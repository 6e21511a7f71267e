"""Main memory, read from the files of a made-up system."""

from pathlib import Path

from ten.train.main_memory import available_bytes, total_bytes


def _write(system: Path, name: str, text: str) -> None:
    (system / name).parent.mkdir(parents=True, exist_ok=True)
    (system / name).write_text(text)


def test_it_is_what_linux_and_the_container_leave(tmp_path: Path) -> None:
    assert (total_bytes(tmp_path), available_bytes(tmp_path)) == (None, None)
    _write(tmp_path, "proc/meminfo", "MemTotal:  16000 kB\nMemFree: 1 kB\nMemAvailable:   8000 kB\n")
    assert (total_bytes(tmp_path), available_bytes(tmp_path)) == (16_384_000, 8_192_000)
    _write(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    _write(tmp_path, "sys/fs/cgroup/memory.current", "1000\n")
    assert (total_bytes(tmp_path), available_bytes(tmp_path)) == (16_384_000, 8_192_000)
    _write(tmp_path, "sys/fs/cgroup/memory.max", "6000\n")
    assert (total_bytes(tmp_path), available_bytes(tmp_path)) == (6000, 5000)
    _write(tmp_path, "sys/fs/cgroup/memory.current", "7000\n")
    assert available_bytes(tmp_path) == 0
