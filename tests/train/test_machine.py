"""What a receipt says of the machine, read from the files of a made-up one."""

import subprocess
from pathlib import Path

import pytest

from ten.train import machine
from ten.train.machine import this_machine

_VERSION = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (root@)  Thu\nGCC version: 12\n"
)


def _system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_processor_memory_and_driver_come_from_the_system(tmp_path: Path) -> None:
    system = _system(tmp_path, {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9554 64-Core Processor\nprocessor\t: 1\n",
        "proc/meminfo": "MemTotal:       1024 kB\nMemFree: 1 kB\n",
        "proc/driver/nvidia/version": _VERSION,
        "sys/fs/cgroup/memory.max": "max\n",
    })  # fmt: skip
    found = this_machine(system)
    assert (found.cpu, found.memory_bytes, found.driver) == ("AMD EPYC 9554 64-Core Processor", 2**20, "580.82.07")
    assert found.cores
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("4096\n")
    assert this_machine(system).memory_bytes == 4096


def test_what_a_system_does_not_tell_is_none(tmp_path: Path) -> None:
    found = this_machine(tmp_path)
    assert (found.cpu, found.memory_bytes, found.driver) == (None, None, None)


def test_image_and_revision_are_the_container_s_where_it_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEN_IMAGE", "ten@sha256:1")
    monkeypatch.setenv("TEN_REVISION", "abc")
    assert (this_machine(tmp_path).image, this_machine(tmp_path).revision) == ("ten@sha256:1", "abc")
    monkeypatch.delenv("TEN_IMAGE")
    monkeypatch.setenv("TEN_REVISION", "unknown")
    monkeypatch.setattr(machine, "_SOURCE", tmp_path)
    assert (this_machine(tmp_path).image, this_machine(tmp_path).revision) == (None, None)


def test_the_revision_of_a_working_folder_says_whether_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "--quiet", "--no-verify", "--message", "first")
    monkeypatch.delenv("TEN_REVISION", raising=False)
    monkeypatch.setattr(machine, "_SOURCE", tmp_path)
    commit = git("rev-parse", "HEAD")
    assert this_machine().revision == commit
    (tmp_path / "a").write_text("2")
    assert this_machine().revision == f"{commit}+"


def test_no_host_is_named() -> None:
    assert not set(this_machine().__struct_fields__) & {"host", "hostname", "node", "user", "address"}
