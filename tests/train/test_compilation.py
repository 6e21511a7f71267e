"""Blocks compiled behind a run's back: used where faster, left where not, and never in training's way."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor, nn

from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig
from ten.train import compilation, rehearsal
from ten.train.backward import Backward
from ten.train.compilation import MEASURED_STEPS, Compilation, CompileProcess
from ten.train.compile_process import CompileResult, CompileTask
from ten.train.distributed import World
from tests.standins.s3 import S3Stand

CONFIG = ModelConfig(layers=2, width=16, eigenstates=8, mlp_width=24, heads=2, convolution=4, max_memory=64.0)
ROWS, STEPS, VOCABULARY = 2, 24, 40
EAGER, COMPILED = 2.0, 1.0


def task(folder: Path, device: str = "cpu") -> CompileTask:
    return CompileTask(
        model=CONFIG, rows=ROWS, seq_len=STEPS, precision="fp32", level="keep", segment=2048,
        device=device, threads=1, machine="here",
        folder=str(folder),
    )  # fmt: skip


class FakeProcess:
    """A process that is done when it is told to be."""

    answer = CompileResult(seconds=1.0)
    waits = 3
    closed = 0

    def __init__(self, _: CompileTask) -> None:
        self.polls = 0

    @property
    def is_done(self) -> bool:
        self.polls += 1
        return self.polls > self.waits

    def result(self) -> CompileResult:
        return self.answer

    def close(self) -> None:
        FakeProcess.closed += 1


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A compiler that does nothing, and what was asked of it."""
    asked: list[str] = []

    def compiled(forward: Callable[..., object], **_: object) -> Callable[..., object]:
        asked.append("compile")
        return lambda *arguments: forward(*arguments)

    monkeypatch.setattr(compilation, "CompileProcess", FakeProcess)
    monkeypatch.setattr(compilation, "compiling_nothing_new", nullcontext)
    monkeypatch.setattr(compilation, "set_folder", lambda folder: {})
    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(FakeProcess, "answer", CompileResult(seconds=1.0))
    return asked


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(CONFIG, VOCABULARY)


def is_compiled(block: nn.Module) -> bool:
    return "forward" in block.__dict__


def run(model: LanguageModel, own: Compilation, compiled_s: float, left: float | None = None) -> int:
    """Steps until nothing changes any more."""
    for number in range(1, 100):
        own.after_step(compiled_s if is_compiled(model.blocks[0]) else EAGER, left)
        if own.is_settled:
            return number
    raise AssertionError("never settled")


@pytest.mark.parametrize(("compiled_s", "stays"), [(COMPILED, True), (EAGER, False), (3 * EAGER, False)])
def test_the_faster_kind_stays(
    model: LanguageModel, compiler: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    compiled_s: float, stays: bool,
) -> None:  # fmt: skip
    with caplog.at_level(logging.INFO), Compilation(model, task(tmp_path), World(), nullcontext) as own:
        steps = run(model, own, compiled_s)
        assert all(is_compiled(block) is stays for block in model.blocks)
    assert steps == 1 + FakeProcess.waits + 2 * MEASURED_STEPS + 1
    assert compiler == ["compile"] * (1 + CONFIG.layers)
    assert f"goes on {'compiled' if stays else 'eagerly'}" in caplog.text
    assert not any(is_compiled(block) for block in model.blocks)


def test_nothing_is_asked_of_the_machine_before_the_first_step(
    model: LanguageModel, compiler: list[str], tmp_path: Path
) -> None:
    with Compilation(model, task(tmp_path), World(), nullcontext) as own:
        started = [own._process]
        own.after_step(EAGER, None)
        started.append(own._process)
        assert started[0] is None and started[1] is not None
        assert not is_compiled(model.blocks[0]) and compiler == []


def test_a_compiled_step_that_stumbles_once_is_judged_by_the_median(
    model: LanguageModel, compiler: list[str], tmp_path: Path
) -> None:
    with Compilation(model, task(tmp_path), World(), nullcontext) as own:
        slow = iter([50.0, 1.0, 40.0, 1.0, 1.0, 1.0])
        while not own.is_settled:
            own.after_step(next(slow) if is_compiled(model.blocks[0]) else EAGER, None)
        assert is_compiled(model.blocks[0])


@pytest.mark.parametrize(
    ("answer", "left", "goes_on"),
    [
        (CompileResult(seconds=1.0, error="RuntimeError: no such instruction"), 1e6, False),
        (CompileResult(seconds=1.0, error="no room", lacks_memory=True), 60.0, False),
        (CompileResult(seconds=1.0, error="no room", lacks_memory=True), None, False),
        (CompileResult(seconds=1.0, error="no room", lacks_memory=True), 1e6, True),
    ],
)
def test_a_process_that_fails_leaves_the_run_eager_unless_only_room_was_missing_and_it_is_long(
    model: LanguageModel, compiler: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, answer: CompileResult, left: float | None, goes_on: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(FakeProcess, "answer", answer)
    with caplog.at_level(logging.INFO), Compilation(model, task(tmp_path), World(), nullcontext) as own:
        run(model, own, COMPILED, left)
        assert is_compiled(model.blocks[0]) is goes_on
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert bool(warned) is not goes_on
    assert answer.error in caplog.text  # type: ignore[operator]


def test_a_machine_without_room_for_a_process_is_a_warning(
    model: LanguageModel, compiler: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(_: CompileTask) -> FakeProcess:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(compilation, "CompileProcess", fail)
    with Compilation(model, task(tmp_path), World(), nullcontext) as own:
        assert run(model, own, COMPILED) == 1
    assert "goes on eagerly: OSError: [Errno 12] Cannot allocate memory" in caplog.text


def test_a_compiler_that_fails_here_is_a_warning_and_the_blocks_stay_as_they_were(
    model: LanguageModel, compiler: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unsupported\nwith a long trace")

    monkeypatch.setattr(torch, "compile", fail)
    with Compilation(model, task(tmp_path), World(), nullcontext) as own:
        run(model, own, COMPILED)
    assert "goes on eagerly: RuntimeError: unsupported" in caplog.text and "trace" not in caplog.text
    assert not is_compiled(model.blocks[0])


def test_a_rehearsal_leaves_weights_gradients_and_random_state_alone(model: LanguageModel, compiler: list[str]) -> None:
    before = torch.get_rng_state()
    rehearsal.rehearse(CONFIG, Backward(), rows=ROWS, seq_len=STEPS, device=torch.device("cpu"), autocast=nullcontext)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not is_compiled(model.blocks[0])


def test_closing_ends_the_process_and_its_whole_group(tmp_path: Path) -> None:
    process = CompileProcess(task(tmp_path))
    group = process._process.pid
    process.close()
    assert process.is_done
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    process.close()


def test_a_process_whose_trainer_has_ended_ends_too(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ten.train.compile_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        process_group=0,
    )  # fmt: skip
    output, _ = process.communicate(msgspec.json.encode(task(tmp_path)) + b"\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert output == b""


def test_a_task_that_cannot_be_done_is_an_answer_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    process = CompileProcess(task(tmp_path / "file" / "cache"))
    try:
        deadline = time.monotonic() + 120
        while not process.is_done:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        result = process.result()
    finally:
        process.close()
    assert result.error is not None and result.error.startswith("NotADirectoryError: ") and "\n" not in result.error
    assert not result.lacks_memory


def test_a_process_that_dies_without_a_word_is_an_error_that_says_so(tmp_path: Path) -> None:
    process = CompileProcess(task(tmp_path))
    os.killpg(process._process.pid, signal.SIGKILL)
    process._process.wait()
    assert "ended with -9" in str(process.result().error)
    process.close()


def compiled_by(wanted: CompileTask) -> CompileResult:
    """What a compile process says that has ended by itself."""
    process = CompileProcess(wanted)
    try:
        while not process.is_done:
            time.sleep(0.1)
        return process.result()
    finally:
        process.close()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_second_machine_takes_the_code_from_the_store(
    stand: S3Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    address = stand.new_bucket()
    bucket = address.removeprefix("s3://")
    first = msgspec.structs.replace(task(tmp_path / "first"), store=f"{address}/ten")
    assert compiled_by(first).error is None
    (key,) = stand.keys(bucket)
    assert key == f"ten/{first.key}"
    sent = len(stand.log("PUT"))
    second = msgspec.structs.replace(first, folder=str(tmp_path / "second"))
    assert compiled_by(second).error is None
    assert len(stand.log("PUT")) == sent, "it compiled again what the store has"
    assert any(path.is_file() for path in (tmp_path / "second").rglob("*"))
    stand.put(bucket, key, bytes(64) + stand.get(bucket, key)[64:])  # somebody else's, with no seal of ours
    third = msgspec.structs.replace(first, folder=str(tmp_path / "third"))
    assert compiled_by(third).error is None
    assert len(stand.log("PUT")) > sent


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda:0", marks=pytest.mark.gpu)]
)
def test_compiled_steps_train_as_eager_ones_do_and_compile_nothing_of_their_own(tmp_path: Path, device: str) -> None:
    """The real compiler, in a process and here: losses and gradients are equal, every graph comes from the cache."""
    code = "import tests.train.test_compilation as t, sys; t.train_through_the_switch(*sys.argv[1:])"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), device], cwd=root, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-4000:]


def train_through_the_switch(folder: str, device: str) -> None:
    """The body of the test above, in a process that may load torch's compiler."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = LanguageModel(CONFIG, VOCABULARY).to(device)
    tokens = torch.randint(0, VOCABULARY, (ROWS, STEPS + 1)).to(device)
    starts = (torch.rand(ROWS, STEPS) < 0.1).to(device)
    world = World(device=torch.device(device))
    expected = gradients(model, tokens, starts)
    with Compilation(model, task(Path(folder), device), world, nullcontext) as own:
        while not (own.is_settled or is_compiled(model.blocks[0])):
            own.after_step(1.0, None)
            time.sleep(0.02)
        assert is_compiled(model.blocks[0]), "the blocks did not compile"
        with torch.compiler.set_stance("fail_on_recompile"):
            found = gradients(model, tokens, starts)
        from torch._dynamo.utils import counters

        assert counters["inductor"]["fxgraph_cache_miss"] == 0 < counters["inductor"]["fxgraph_cache_hit"]
        with torch.no_grad():
            model.loss(tokens[:, :9])  # another shape, without gradients: eagerly
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4)


def gradients(model: LanguageModel, tokens: Tensor, starts: Tensor) -> dict[str, Tensor]:
    """Of the loss, by name, with the loss itself."""
    model.zero_grad()
    loss = model.loss(tokens, starts)
    loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), **{n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}}
