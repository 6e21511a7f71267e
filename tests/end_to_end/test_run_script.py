"""docker/run.sh with a stand-in of the engine: where a job runs, what reaches it, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bundle import TINY

ROOT = Path(__file__).parents[2]
RUN = ROOT / "docker" / "run.sh"
ENGINE = ROOT / "tests" / "standins" / "engine.py"
HARD = {
    "SPACES_SECRET_ACCESS_KEY": "a$b${HOME}#c'd\"e f+/=",
    "TEN_DATASET": "two  spaces ",
    "HF_TOKEN": "\\n$(id)`id`\nsecond 'line'",
}
DOTENV = """# a comment
SPACES_SECRET_ACCESS_KEY='a$b${HOME}#c\\'d"e f+/='
export TEN_DATASET="two  spaces "
HF_TOKEN='\\\\n$(id)`id`
second \\'line\\''
"""


class Desk:
    """A working folder with its own engine on PATH and a virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.home = folder / "work", folder / "engine", folder / "home"
        for path in (self.folder, self.state, self.home, folder / "bin", folder / "venv/bin"):
            path.mkdir(parents=True)
        self.images("ten:cpu", "ten:cuda")
        self.processes: list[subprocess.Popen[str]] = []
        python = sys.executable
        self.script("bin/docker", f'exec {python} {ENGINE} "$@"')
        self.script("bin/podman", "exit 1")
        self.script("bin/nvidia-smi", "exit 9")
        self.script("venv/bin/ten", f'exec {python} -m ten.cli "$@"')

    def script(self, name: str, text: str) -> None:
        """An executable beside the working folder."""
        path = self.folder.parent / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def images(self, *names: str) -> None:
        """What the engine has."""
        (self.state / "images").write_text(" ".join(names), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """Of a person at this desk."""
        return {
            "PATH": f"{self.folder.parent}/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "TEN_ENGINE_STATE": str(self.state),
            "VENV": str(self.folder.parent / "venv"),
            "MAKE": "true",
            "OMP_NUM_THREADS": "1",
        } | more

    def run(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """The script to its end."""
        return subprocess.run(
            [str(RUN), *words], cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """The script as a terminal starts it: in a process group of its own."""
        process = subprocess.Popen(
            [str(RUN), *words], cwd=self.folder, env=self.environment(**environment), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def started(self) -> list[str]:
        """The words of the `run` that the engine heard last."""
        calls = [json.loads(line) for line in (self.state / "calls.jsonl").read_text(encoding="utf-8").splitlines()]
        return next(words for words in reversed(calls) if words[0] == "run")

    def inside(self) -> dict[str, str]:
        """What `ten` in the last container had as its environment."""
        (path,) = self.folder.parent.glob("gone-*/environment.json")
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for path in desk.state.glob("*/pid"):
        if not (path.parent / "code").exists():
            os.kill(int(path.read_text()), signal.SIGKILL)
    for process in desk.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _endless(desk: Desk) -> list[str]:
    """A training that goes on until it is stopped."""
    (desk.folder / "a.txt").write_text("so it goes\n" * 3000, encoding="utf-8")
    sets = ["run=r", "data.dataset=a.txt", "train.steps=1000000", "data.seq_len=64", "store=s", "data.tokenizer=gpt2"]
    return ["train", *TINY, *(word for item in sets for word in ("--set", item))]


def _is_training(desk: Desk) -> bool:
    metrics = desk.folder / "s/runs/r/metrics.jsonl"
    return metrics.exists() and metrics.stat().st_size > 0


@pytest.mark.parametrize("python", [sys.executable, "false"], ids=["read-here", "read-in-the-image"])
def test_values_of_the_env_file_arrive_whole_and_in_no_command_line(desk: Desk, python: str) -> None:
    (desk.folder / ".env").write_text(DOTENV, encoding="utf-8")
    done = desk.run("--version", PYTHON=python)
    assert done.returncode == 0, done.stderr
    assert {name: desk.inside()[name] for name in HARD} == HARD
    assert not [word for word in desk.started() for value in HARD.values() if value in word]


def test_exported_variables_go_by_name_and_before_the_file(desk: Desk) -> None:
    (desk.folder / ".env").write_text("HF_TOKEN=other\nSPACES_REGION=nyc3\nTEN_STORE=mine\n", encoding="utf-8")
    done = desk.run("--version", UNRELATED="canary", **HARD)
    assert done.returncode == 0, done.stderr
    inside = desk.inside()
    assert {name: inside[name] for name in HARD} == HARD
    assert (inside["SPACES_REGION"], inside["TEN_STORE"]) == ("nyc3", "mine")
    assert "UNRELATED" not in inside
    assert not [word for word in desk.started() for value in HARD.values() if value in word]


def test_a_line_of_the_env_file_that_is_none_ends_it(desk: Desk) -> None:
    (desk.folder / ".env").write_text("HF_TOKEN\n", encoding="utf-8")
    done = desk.run("runs", PYTHON=sys.executable)
    assert done.returncode == 78
    assert ".env:1" in done.stderr


def test_the_container_is_shut_in(desk: Desk) -> None:
    desk.run("--version")
    words = desk.started()
    for option, value in (
        ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"), ("--user", f"{os.getuid()}:{os.getgid()}"),
        ("--workdir", str(desk.folder)), ("--stop-timeout", "330"),
    ):  # fmt: skip
        assert words[words.index(value) - 1] == option
    assert "--read-only" in words


def test_the_job_s_exit_code_and_output_are_the_script_s_and_the_last_line_says_where(desk: Desk) -> None:
    done = desk.run("train", "--set", "train.stepz=3")
    assert done.returncode == 78
    assert "did you mean 'train.steps'?" in done.stdout
    assert done.stderr.splitlines()[-1] == "train ran in the image ten:cpu (docker), GPUs: none"
    assert not desk.run("logs", VENV="/nowhere").stdout


def test_ctrl_c_stops_the_container_with_a_checkpoint_and_75(desk: Desk) -> None:
    script = desk.start(*_endless(desk))
    _until(lambda: _is_training(desk))
    os.killpg(script.pid, signal.SIGINT)
    said, _ = script.communicate(timeout=120)
    assert script.returncode == 75, said
    assert "stopped by SIGTERM" in said
    assert said.splitlines()[-2] == (
        "stopped with everything saved (75): the same command goes on (after limits.max_cost: with a higher one)"
    )
    assert list((desk.folder / "s/runs/r/checkpoints").glob("step-*/COMPLETE"))


def test_a_closed_terminal_leaves_it_running_and_stop_ends_it(desk: Desk) -> None:
    script = desk.start(*_endless(desk), NAME="mine")
    _until(lambda: _is_training(desk))
    os.killpg(script.pid, signal.SIGHUP)
    script.communicate(timeout=120)
    again = desk.run("train", NAME="mine")
    assert again.returncode == 1
    assert "mine runs already" in again.stderr
    stopped = desk.run("stop")
    assert stopped.returncode == 0
    assert (desk.state / "mine/code").read_text() == "75"
    assert "stopped by SIGTERM" in desk.run("logs").stdout


def test_without_an_engine_it_runs_in_the_virtual_environment_and_says_why(desk: Desk) -> None:
    desk.script("bin/docker", "exit 1")
    done = desk.run("--version")
    assert done.returncode == 0, done.stderr
    assert "in the virtual environment" in done.stderr.splitlines()[-1]
    assert "neither docker nor podman answers" in done.stderr.splitlines()[-1]


def test_without_an_image_it_runs_in_the_virtual_environment_and_says_why(desk: Desk) -> None:
    desk.images()
    done = desk.run("--version")
    assert done.returncode == 0, done.stderr
    assert "docker has no image ten:cpu; `make image` makes it" in done.stderr.splitlines()[-1]


def test_ctrl_c_in_the_virtual_environment_is_one_signal(desk: Desk) -> None:
    script = desk.start(*_endless(desk), ENGINE="none")
    _until(lambda: _is_training(desk))
    os.killpg(script.pid, signal.SIGINT)
    said, _ = script.communicate(timeout=120)
    assert script.returncode == 75, said
    assert "stopped by SIGINT" in said
    assert "ENGINE=none" in said.splitlines()[-1]


@pytest.mark.parametrize("asked", [{"ENGINE": "podman"}, {"IMAGE": "mine", "ENGINE": "none"}])
def test_what_was_asked_for_and_is_not_there_is_an_error(desk: Desk, asked: dict[str, str]) -> None:
    done = desk.run("runs", **asked)
    assert done.returncode == 69
    assert not (desk.state / "ten-runs").exists()


def test_a_dry_run_prints_the_command_and_starts_nothing(desk: Desk) -> None:
    done = desk.run("train", "jobs/demo.yaml", DRY="1", IMAGE="mine", GPUS="0,1", ENGINE_ARGS="--network host")
    assert done.returncode == 0
    assert done.stdout.startswith("docker run --read-only ")
    assert '--gpus \\"device=0\\,1\\"' in done.stdout
    assert "--network host mine train jobs/demo.yaml" in done.stdout
    assert done.stderr.splitlines()[-1] == "train would run in the image mine (docker), GPUs: 0,1"
    assert "run" not in [json.loads(line)[0] for line in (desk.state / "calls.jsonl").read_text().splitlines()]


def test_a_gpu_chooses_the_image_and_podman_names_devices(desk: Desk) -> None:
    desk.script("bin/podman", f'exec {sys.executable} {ENGINE} "$@"')
    desk.script("bin/nvidia-smi", "echo 'GPU 0'")
    done = desk.run("train", DRY="1", ENGINE="podman")
    assert "--device nvidia.com/gpu=all" in done.stdout
    assert " ten:cuda train" in done.stdout
    assert "--gpus all" in desk.run("train", DRY="1").stdout
    assert "--gpus" not in desk.run("train", DRY="1", GPUS="none").stdout


def test_folders_elsewhere_are_mounted_where_they_are(desk: Desk, tmp_path: Path) -> None:
    text = tmp_path / "texts/a.txt"
    text.parent.mkdir()
    text.write_text("a", encoding="utf-8")
    shown = desk.run("train", "--dataset", str(text), DRY="1", TEN_STORE=str(tmp_path / "volume")).stdout
    assert f"--volume {tmp_path}/volume:{tmp_path}/volume " in shown
    assert f"--volume {text}:{text}:ro" in shown
    assert "--env TEN_STORE " in shown
