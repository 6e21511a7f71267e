"""resources.disk_free: less room than wanted is an error before anything begins."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from ten.cli import main
from ten.disk import require_room
from ten.errors import DiskFull
from ten.job import load_job
from ten.preparation import Preparation


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def _job(store: Path, corpus: Path, *sets: str) -> Preparation:
    return Preparation(load_job(None, {"data.dataset": str(corpus), "store": str(store), "run": "r"}, sets))


def test_too_little_room_ends_training_and_packing_with_73(
    tmp_path: Path, corpus_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", str(corpus_path), "--store", str(tmp_path / "s"), "--set", "resources.disk_free=9999TB"]
    for verb in ("train", "pack"):
        assert main([verb, *words]) == 73
        assert "resources.disk_free wants" in capsys.readouterr().err
    assert not (tmp_path / "s" / "packs").exists()


def test_what_the_job_has_there_already_counts(
    tmp_path: Path, corpus_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job(tmp_path / "s", corpus_path, "resources.disk_free=1000B")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(1000, 400, 600))
    with pytest.raises(DiskFull, match="600 B free"):
        require_room(job)
    (tmp_path / "s/runs/r").mkdir(parents=True)
    (tmp_path / "s/runs/r/metrics.jsonl").write_bytes(b"m" * 400)
    require_room(job)
    other = tmp_path / "s/runs/another"
    (tmp_path / "s/runs/r").rename(other)
    with pytest.raises(DiskFull):
        require_room(job)


def test_without_a_wish_nothing_is_looked_at(
    tmp_path: Path, corpus_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: pytest.fail("asked"))
    require_room(_job(tmp_path / "s", corpus_path))
