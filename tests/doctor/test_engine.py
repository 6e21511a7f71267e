"""Engines: which answers, what it can give a container, which image it has; by programs that stand in for them."""

import os
from pathlib import Path

import pytest

from ten.doctor.engine import check_engine, check_image, check_runtime
from ten.doctor.gpus import Gpus
from ten.doctor.whereabouts import Whereabouts, ask, find_whereabouts
from tests.doctor.conftest import MakeSubject

GPU = Gpus(names=("NVIDIA L40S",), driver="580", memory_bytes=1, free_bytes=1)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH; no ENGINE or IMAGE is named."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("ENGINE", "IMAGE", "container"):
        monkeypatch.delenv(name, raising=False)
    return folder


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_an_engine_that_answers_is_where_jobs_run(programs: Path) -> None:
    _program(programs, "docker", """[ "$1" = info ] && echo '{"runc":{},"nvidia":{}}'""")
    assert find_whereabouts(os.environ, ()) == Whereabouts(kind="host", engine="docker", runtimes=("runc", "nvidia"))
    assert find_whereabouts({"ENGINE": "none"}, ()).kind == "machine"
    assert find_whereabouts({"ENGINE": "podman"}, ()).kind == "machine"


def test_a_silent_engine_is_passed_over_and_remembered(programs: Path, make_subject: MakeSubject) -> None:
    _program(programs, "docker", "exit 1")
    _program(programs, "podman", "echo host: fine")
    found = find_whereabouts(os.environ, ())
    assert found == Whereabouts(kind="host", engine="podman", silent=("docker",))
    (programs / "podman").unlink()
    subject = make_subject()
    subject.where = find_whereabouts(os.environ, ())
    assert subject.where == Whereabouts(kind="machine", silent=("docker",))
    assert check_engine(subject).status == "warn"


def test_a_container_is_known_by_its_marks(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    assert find_whereabouts(os.environ, (tmp_path / "mark",)).kind == "container"
    assert find_whereabouts({"container": "podman"}, ()).kind == "container"
    assert find_whereabouts(os.environ, (tmp_path / "none",)).kind == "machine"


def test_without_an_engine_there_is_nothing_to_check(make_subject: MakeSubject) -> None:
    subject = make_subject()
    assert {check(subject).status for check in (check_engine, check_runtime, check_image)} == {"skipped"}


def test_gpus_want_a_runtime_or_a_description_of_devices(make_subject: MakeSubject, tmp_path: Path) -> None:
    subject = make_subject()
    subject.where, subject.gpus = Whereabouts(kind="host", engine="docker", runtimes=("runc",)), GPU
    found = check_runtime(subject, (tmp_path / "cdi",))
    assert found.status == "fail" and found.cure and "nvidia-container-toolkit" in found.cure
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "nvidia.yaml").touch()
    assert check_runtime(subject, (tmp_path / "cdi",)).status == "ok"
    subject.where = Whereabouts(kind="host", engine="docker", runtimes=("nvidia",))
    assert check_runtime(subject, ()).status == "ok"
    subject.gpus = None
    assert check_runtime(subject, ()).status == "skipped"


def test_the_image_that_make_would_use_is_looked_for(
    programs: Path, make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(programs, "docker", '[ "$3" = ten:cuda ]')
    subject = make_subject()
    subject.where, subject.gpus = Whereabouts(kind="host", engine="docker"), None
    assert check_image(subject).value == "ten:cuda is there"
    monkeypatch.setenv("IMAGE", "registry.example/ten:1")
    found = check_image(subject)
    assert found.status == "warn" and found.cure == "docker pull registry.example/ten:1"
    monkeypatch.delenv("IMAGE")
    _program(programs, "docker", "exit 1")
    assert check_image(subject).cure == "make image"


def test_a_program_that_hangs_or_is_not_there_says_nothing(programs: Path) -> None:
    _program(programs, "slow", "exec /bin/sleep 60")
    assert ask("slow", patience_s=0.05) is None
    assert ask("none") is None
