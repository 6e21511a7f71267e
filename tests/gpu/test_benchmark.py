"""benchmarks/gpu.py where no GPU is: its toys run, what is missing is named, and nothing that fails is hidden."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.support import gpu_model, gpu_scan
from benchmarks.support.gpu_bench import Bench
from benchmarks.support.gpu_report import Result, lines, shown
from ten.model.cost import flops_per_token, parameters

QUICK = ["--quick", "--device", "cpu"]


@pytest.fixture(autouse=True)
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports go."""
    monkeypatch.setenv("OUT", str(tmp_path))
    return tmp_path


def report(out: Path) -> str:
    (path,) = out.glob("gpu-cpu-quick-20??-??.md")
    return path.read_text(encoding="utf-8")


def test_every_section_runs_as_a_toy_or_says_that_it_needs_a_gpu(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(QUICK) == 0
    text = report(out)
    assert [line.split()[1].strip(":") for line in text.splitlines() if line.startswith("## ")] == list(gpu.SECTIONS)
    assert text.count("No GPU: not measured") == 3
    assert text.count("\nMeasured in") == len(gpu.SECTIONS) - 3
    assert "none failed" in capsys.readouterr().out


def test_a_section_that_fails_is_named_and_the_others_go_on(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Bench) -> Iterator[tuple[str, ...]]:
        yield ("half", "a", "row", "", "", "", "", "", "")
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setattr(gpu_scan, "speed", broken)
    assert gpu.main([*QUICK, "scan", "decoding"]) == 1
    text = report(out)
    assert "FAILED after" in text and "RuntimeError: no such kernel." in text and "| half |" in text
    assert "Measured in" in text
    assert "FAILED: scan;" in capsys.readouterr().out


def test_a_wrong_result_fails_the_section(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_scan, "errors", lambda *_: (0.5, 0.0))
    assert gpu.main([*QUICK, "correctness"]) == 1
    assert "WRONG" in report(out)


@pytest.mark.slow
def test_a_machine_without_our_packages_measures_what_needs_none(out: Path) -> None:
    code = "import sys; sys.modules['msgspec'] = None; from benchmarks import gpu; sys.exit(gpu.main(sys.argv[1:]))"
    words = [*QUICK, "correctness", "models"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Needs the package msgspec" in report(out)
    assert report(out).count("Measured in") == 1


def test_an_unknown_section_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main([*QUICK, "speed"])
    assert "no section is called speed; there are correctness" in capsys.readouterr().err


def test_the_whole_call_takes_less_than_eight_minutes_by_its_budgets() -> None:
    assert sum(section.budget_s for section in gpu.SECTIONS.values()) < 480


def test_the_transformer_is_as_large_as_the_model_beside_it() -> None:
    for name in ("tiny", "large"):
        bench = Bench(device=torch.device("cpu"), quick=False)
        task = gpu_model.task_named(bench, name)
        ours, flops = gpu_model._size(task, "ten")
        theirs, _ = gpu_model._size(task, "transformer")
        assert ours == parameters(task.config, task.vocabulary)
        assert flops == flops_per_token(task.config, task.vocabulary)
        assert theirs == pytest.approx(ours, rel=0.02)


def test_mfu_is_of_the_dense_peak_and_absent_for_a_card_that_is_not_known() -> None:
    unknown, bench = (Bench(device=torch.device("cpu"), quick=True) for _ in range(2))
    assert unknown.mfu(1e5, 1e9) is None
    bench.__dict__["name"] = "NVIDIA L40S"
    assert bench.mfu(1e5, 1.81e9) == pytest.approx(0.5)


def test_figures_have_three_digits_and_nothing_is_a_dash() -> None:
    assert [shown(value) for value in (None, 0.5, 1234.5, 0.00123, 42, "x")] == [
        "–",
        "0.5",
        "1,234",
        "1.23e-03",
        "42",
        "x",
    ]
    result = Result(name="a", title="b", columns=("one", "two"), rows=[("x", None)], omission="out of time")
    assert list(lines(result))[-1].strip().startswith("out of time")
