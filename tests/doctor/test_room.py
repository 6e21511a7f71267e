"""Room checks: a full disk, small shared memory, a checkpoint slower than the grace."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from ten.doctor.examination import examine
from ten.doctor.gpus import Gpus
from ten.doctor.room import check_checkpoint, check_disk, check_shared_memory, judge_checkpoint
from ten.doctor.whereabouts import Whereabouts
from tests.doctor.conftest import MakeSubject


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_room_enough_is_told_in_bytes(make_subject: MakeSubject) -> None:
    subject = make_subject()
    assert check_disk(subject).status == "ok"
    assert not Path(subject.spec.store).exists()


def test_a_full_disk_fails_before_anything_is_written(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**6, 10**6 - 1000, 1000))
    found = check_disk(subject)
    assert found.status == "fail" and "1000 B free" in found.value and found.cure and "keep_last" in found.cure
    (checkpoint,) = examine(subject, {"checkpoint": check_checkpoint})
    assert checkpoint.status == "fail" and "cannot write a checkpoint" in checkpoint.value
    assert not Path(subject.spec.store).exists()


def test_what_the_job_file_wants_free_counts_too(make_subject: MakeSubject) -> None:
    assert check_disk(make_subject("resources.disk_free=9999TB")).status == "fail"


def test_shared_memory_matters_to_several_gpus(make_subject: MakeSubject, tmp_path: Path) -> None:
    many = ("resources.accelerators=L40S:2", "resources.shm_size=1MB")
    assert check_shared_memory(make_subject(), tmp_path).status == "skipped"
    assert check_shared_memory(make_subject(*many), tmp_path).status == "ok"
    found = check_shared_memory(make_subject(many[0], "resources.shm_size=9999TB"), tmp_path)
    assert found.status == "fail" and "for 2 GPUs" in found.value and found.cure and "--shm-size" in found.cure
    on_host = make_subject(*many)
    on_host.where = Whereabouts(kind="host", engine="docker")
    assert check_shared_memory(on_host, tmp_path).status == "skipped"
    here = make_subject()
    here.gpus = Gpus(names=("L40S", "L40S"), driver="580", memory_bytes=1, free_bytes=1)
    assert check_shared_memory(here, tmp_path).status in ("ok", "fail")


def test_a_checkpoint_is_timed_where_it_will_lie_and_nothing_stays(make_subject: MakeSubject, tmp_path: Path) -> None:
    (tmp_path / "store" / "runs").mkdir(parents=True)
    found = check_checkpoint(make_subject(), largest=2**20)
    assert found.status == "ok" and "of limits.stop_grace=5m" in found.value
    assert list((tmp_path / "store").rglob("*")) == [tmp_path / "store" / "runs"]


def test_a_checkpoint_that_a_store_takes_too_slowly_fails(make_subject: MakeSubject, address: str) -> None:
    subject = make_subject(store=address)
    subject.upload_bytes_per_s = subject.checkpoint_bytes / 400
    found = check_checkpoint(subject, largest=2**20)
    assert found.status == "fail" and "6m 40s to send" in found.value
    assert found.cure and "limits.stop_grace=2" in found.cure
    subject.upload_bytes_per_s = None
    assert check_checkpoint(subject, largest=2**20).status == "skipped"


@pytest.mark.parametrize(
    ("writing_s", "sending_s", "status"),
    [(10.0, 0.0, "ok"), (10.0, 139.0, "ok"), (10.0, 150.0, "warn"), (301.0, 0.0, "fail")],
)
def test_half_the_grace_warns_and_more_than_all_of_it_fails(writing_s: float, sending_s: float, status: str) -> None:
    assert judge_checkpoint(10**9, writing_s, sending_s, "5m").status == status


def test_a_pack_has_no_checkpoints(make_subject: MakeSubject) -> None:
    assert check_checkpoint(make_subject("mode=pack")).status == "skipped"
