"""Versions beside the lock file: equal, other, missing, without a lock."""

from pathlib import Path

import pytest

from ten.doctor import packages
from ten.doctor.packages import check_packages, check_python, installed, read_lock


def test_this_python_is_new_enough() -> None:
    assert check_python().status == "ok"


def test_an_older_python_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_OLDEST", (99, 0))
    found = check_python()
    assert found.status == "fail" and found.cure and "make setup" in found.cure


def test_what_is_as_locked_passes_whatever_torchs_variant(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    torch, msgspec = installed("torch"), installed("msgspec")
    assert torch and msgspec
    lock.write_text(f"torch=={torch.partition('+')[0]}\nmsgspec=={msgspec}  # why\nno-such-package-here==1\n")
    found = check_packages(lock)
    assert found.status == "ok" and "2 packages as locked, 1 not here" in found.value


def test_another_version_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==0.0.1\nmsgspec==0.0.2\n")
    found = check_packages(lock)
    assert found.status == "warn" and "msgspec " in found.value and "instead of 0.0.2" in found.value
    assert check_packages(tmp_path / "none").status == "skipped"


def test_without_torch_nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed", lambda _: None)
    assert check_packages().status == "fail"


def test_the_lock_of_this_repository_is_read() -> None:
    assert read_lock(packages.LOCK.read_text(encoding="utf-8"))["torch"]
