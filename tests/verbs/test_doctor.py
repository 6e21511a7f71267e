"""`ten doctor` as a person runs it: real processes, exit codes, JSON; nothing left behind, no secret told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.standins.s3 import CANARIES, S3Stand, without_stores
from tests.standins.s3_faults import Fault

ROOT = Path(__file__).parents[2]


class Machine:
    """A folder to work in, and an environment with nothing of this machine's but its programs."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder = folder
        self.words = ["--dataset", str(corpus), "--tokenizer", "gpt2", "--seq-len", "16"]

    def doctor(self, *words: str, code: int, **environment: str) -> str:
        """Run it to its end; what it printed."""
        ours = {name: value for name, value in without_stores(os.environ).items() if not name.startswith("HF_")}
        clean = ours | {"HOME": str(self.folder), "PYTHONPATH": str(ROOT), "ENGINE": "none"} | environment
        done = subprocess.run(
            [sys.executable, "-m", "ten.cli", "doctor", *self.words, *words],
            cwd=self.folder, env=clean, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr + done.stdout
        assert not [canary for canary in CANARIES if canary in done.stdout + done.stderr]
        return done.stdout

    def checks(self, *words: str, code: int, **environment: str) -> dict[str, Any]:
        """The findings of `--json` by check."""
        report = json.loads(self.doctor(*words, "--json", code=code, **environment))
        assert report["ok"] == (code == 0)
        return {finding["check"]: finding for finding in report["findings"]}


@pytest.fixture
def machine(tmp_path: Path, corpus_path: Path) -> Machine:
    """A new machine."""
    (tmp_path / "work").mkdir()
    return Machine(tmp_path / "work", corpus_path)


def test_a_good_machine_is_0_and_nothing_is_left_behind(machine: Machine) -> None:
    said = machine.doctor(code=0)
    assert "ok       store" in said and "ok       checkpoint" in said and "fail" not in said
    assert list(machine.folder.iterdir()) == []


def test_a_stores_refusal_is_78_with_a_cure(machine: Machine, stand: S3Stand) -> None:
    address = f"{stand.new_bucket()}/here"
    environment = stand.environment(TEN_PATIENCE="3s")
    found = machine.checks("--store", address, code=0, **environment)
    assert {found[name]["status"] for name in ("store", "second write", "clock", "keys", "plan", "checkpoint")} == {
        "ok"
    }
    stand.add(Fault("refuse", code="SignatureDoesNotMatch", count=-1))
    found = machine.checks("--store", address, code=78, **environment)
    assert found["store"]["status"] == "fail" and "copy it again" in found["store"]["cure"]
    assert found["plan"]["status"] == found["checkpoint"]["status"] == "skipped"


def test_a_job_that_cannot_be_read_is_78_and_said(machine: Machine) -> None:
    found = machine.checks("--set", "train.stepz=1", code=78)
    assert list(found) == ["job"] and "did you mean" in found["job"]["cure"] + found["job"]["value"]
    assert "fail     job" in machine.doctor("no-such-job.yaml", code=78)


def test_an_env_file_that_others_would_read_otherwise_is_a_warning_with_names(machine: Machine) -> None:
    path = machine.folder / ".env"
    path.write_text("TEN_PATIENCE='3s'\nTEN_SSH_KEY='canary#1'\nTEN_SSH_KEY='canary#2'\n")
    path.chmod(0o644)
    found = machine.checks(code=0, TEN_ENV_FILE="")
    assert found[".env"]["status"] == found[".env private"]["status"] == "warn"
    assert "TEN_SSH_KEY" in found[".env"]["value"]
    assert "canary#" not in json.dumps(found)


def test_the_doctor_never_imports_torch_into_its_own_process(machine: Machine) -> None:
    code = f"import sys; from ten.cli import main; main({['doctor', *machine.words]!r}); print('torch' in sys.modules)"
    environment = {**without_stores(os.environ), "PYTHONPATH": str(ROOT), "ENGINE": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=machine.folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
