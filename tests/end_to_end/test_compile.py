"""`train.compile` in whole runs: stopped while it compiles, with a compiler that fails, and through a real one."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.train.metrics import StepMetrics
from tests.end_to_end.bundle import Bundle

ON = ("--set", "train.compile=on")


def compilers(parent: int) -> list[int]:
    """Process ids of the compile processes that a trainer has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, status = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if b"ten.train.compile_process" in words and int(status.rsplit(")", 1)[1].split()[1]) == parent:
            found.append(int(folder.name))
    return found


def wait_for(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for the process in /proc")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_a_trainer_that_ends_while_it_compiles_leaves_no_process(bundle: Bundle, by: signal.Signals) -> None:
    words = bundle.command("train", *bundle.training("--streaming", *ON, "--steps", "100000"))
    trainer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: trainer.poll() is not None or compilers(trainer.pid))
        (compiler,) = compilers(trainer.pid)
        trainer.send_signal(by)
        assert trainer.wait(60) == (75 if by == signal.SIGINT else -by)
        wait_for(lambda: not _is_alive(compiler))
    finally:
        trainer.kill()


def test_a_compiler_that_fails_is_a_warning_and_the_run_goes_on(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "compiled").write_text("a file where the cache would be a folder")
    said = train_until(bundle, "the blocks are not compiled", "--cache-dir", str(tmp_path))
    assert "training goes on eagerly: NotADirectoryError" in said
    assert bundle.metrics()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_that_is_compiled_on_its_way_loses_no_step_and_resumes(
    bundle: Bundle, undisturbed: list[StepMetrics]
) -> None:
    assert " s eagerly and " in train_until(bundle, "training goes on")
    last = bundle.metrics()[-1].step
    bundle.run("train", *bundle.training("--streaming", *ON, "--steps", str(last + 3)))
    steps = bundle.metrics()
    assert [line.step for line in steps] == list(range(1, last + 4))
    assert steps[-1].loss < undisturbed[-1].loss


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ranks_are_compiled_together_and_one_process_goes_on(bundle: Bundle, undisturbed: list[StepMetrics]) -> None:
    ranks = ("train.ranks=2", "train.shard=replicate", "train.micro_batch_rows=4")
    said = train_until(bundle, "training goes on", *(word for one in ranks for word in ("--set", one)))
    assert " s eagerly and " in said, said
    last = bundle.metrics()[-1].step
    bundle.run("train", *bundle.training("--streaming", "--steps", str(last + 3)))
    steps = bundle.metrics()
    assert [line.step for line in steps] == list(range(1, last + 4))
    assert [line.rows_sha256 for line in steps[:10]] == [line.rows_sha256 for line in undisturbed[:10]]
    assert steps[-1].loss < undisturbed[-1].loss


def train_until(bundle: Bundle, words: str, *more: str) -> str:
    """Train until a line of the log has these words, then stop; the line."""
    command = bundle.command("train", *bundle.training("--streaming", *ON, "--steps", "100000", *more))
    trainer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert trainer.stderr is not None
    said = next((line for line in trainer.stderr if words in line), "nothing of the kind")
    trainer.send_signal(signal.SIGINT)
    trainer.communicate(timeout=120)
    assert trainer.returncode == 75
    return said


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
