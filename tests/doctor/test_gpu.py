"""GPU checks: the driver's table, a kernel that is compared, and one that is wrong, crashes or hangs."""

from pathlib import Path

import pytest

from ten.doctor import gpu, kernel
from ten.doctor.finding import Verdict
from ten.doctor.gpu import check_driver, check_kernel, check_memory, compare_memory, run_kernel, torch_cuda
from ten.doctor.gpus import Gpus, look_at_gpus, read_gpus
from ten.doctor.subject import Subject
from tests.doctor.conftest import MakeSubject

L40S = Gpus(names=("NVIDIA L40S",), driver="580.95.05", memory_bytes=46068 * 2**20, free_bytes=45600 * 2**20)


@pytest.fixture
def subject(make_subject: MakeSubject) -> Subject:
    """A subject with an L40S."""
    subject = make_subject()
    subject.gpus = L40S
    return subject


def test_what_nvidia_smi_says_is_read_and_the_smallest_card_counts() -> None:
    said = "NVIDIA L40S, 580.95.05, 46068, 45600\nNVIDIA L40S, 580.95.05, 46068, 12\n"
    found = read_gpus(said)
    assert found == Gpus(
        names=("NVIDIA L40S",) * 2, driver="580.95.05", memory_bytes=46068 * 2**20, free_bytes=12 * 2**20
    )
    assert found is not None and found.driver_major == 580
    assert read_gpus("") is None
    assert read_gpus("No devices were found") is None


def test_gpus_are_asked_for_where_they_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA L40S, 580.95.05, 46068, 45600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look_at_gpus({}) == L40S
    assert look_at_gpus({"CUDA_VISIBLE_DEVICES": "0"}) == L40S
    assert look_at_gpus({"CUDA_VISIBLE_DEVICES": ""}) is None


@pytest.mark.parametrize(
    ("driver", "cuda", "status"),
    [
        ("580.95.05", "13.0", "ok"), ("570.195", "13.0", "fail"), ("535.1", "12.8", "ok"), ("470.1", "12.8", "fail"),
        ("580.95.05", None, "fail"), ("580.95.05", "14.0", "warn"), ("[N/A]", "13.0", "warn"),
    ],
)  # fmt: skip
def test_the_driver_must_be_new_enough_for_torchs_cuda(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, driver: str, cuda: str | None, status: str
) -> None:
    subject.gpus = Gpus(names=("NVIDIA L40S",), driver=driver, memory_bytes=1, free_bytes=1)
    monkeypatch.setattr(gpu, "torch_cuda", lambda: cuda)
    assert check_driver(subject).status == status


def test_a_machine_without_a_gpu_is_no_fault_unless_the_job_demands_one(make_subject: MakeSubject) -> None:
    subject = make_subject()
    subject.gpus = None
    assert check_driver(subject).status == check_kernel(subject).status == check_memory(subject).status == "skipped"
    wanting = make_subject("train.device=cuda")
    wanting.gpus = None
    found = check_driver(wanting)
    assert found.status == "fail" and found.cure and "--gpus all" in found.cure


def test_torchs_cuda_is_read_without_importing_torch() -> None:
    import torch

    assert torch_cuda() == torch.version.cuda


def test_memory_is_weighed_against_the_plan(subject: Subject) -> None:
    assert check_memory(subject).status == "ok"
    assert compare_memory(L40S, L40S.memory_bytes + 1).status == "fail"
    busy = Gpus(names=("x",), driver="580", memory_bytes=1000, free_bytes=10)
    found = compare_memory(busy, 500)
    assert found.status == "fail" and found.cure and "nvidia-smi" in found.cure


def test_without_a_gpu_the_formula_is_weighed_against_the_card_that_is_named(make_subject: MakeSubject) -> None:
    def found(*sets: str) -> Verdict:
        subject = make_subject("model.config=large", "train.micro_batch_rows=1", *sets)
        subject.gpus = None
        return check_memory(subject)

    assert found("resources.accelerators=H200").status == "ok"
    small = found("resources.accelerators=H200", "data.seq_len=32768", "train.memory=keep")
    assert small.status == "fail" and "by formula" in small.value and small.cure == "set train.memory=auto"
    both = ", ".join(f"{{infra: do, instance_type: {size}}}" for size in ("gpu-4000adax1-20gb", "gpu-h200x1-141gb"))
    assert found(f"resources.ordered=[{both}]").status == "warn"


def test_the_kernel_agrees_with_the_cpu_in_a_process_of_its_own() -> None:
    found = run_kernel("cpu")
    assert found.status == "ok" and "scan's gradient" in found.value


def test_a_device_that_is_none_or_hangs_fails_in_words() -> None:
    found = run_kernel("meta")
    assert found.status == "fail" and "exit code 1" in found.value
    found = run_kernel("cpu", within_s=0.01)
    assert found.status == "fail" and "hangs" in found.value


def test_a_wrong_result_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    import ten.scan
    from ten.scan.reference import reference_scan

    def wrong(inputs: torch.Tensor, decay: torch.Tensor, phase: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, carry = reference_scan(inputs, decay, phase, inputs.new_zeros(2, inputs.shape[2]), None)
        return states * 1.001, carry

    assert kernel.too_large(kernel.errors_on("cpu")) == []
    monkeypatch.setattr(ten.scan, "scan", wrong)
    assert kernel.too_large(kernel.errors_on("cpu")) == ["scan", "scan's gradient"]
    monkeypatch.setattr("sys.argv", ["kernel", "cpu"])
    assert kernel.main() == 1
    assert "scan on cpu: relative error" in capsys.readouterr().err


def test_what_is_not_finite_is_too_large() -> None:
    assert kernel.too_large(dict.fromkeys(kernel.LARGEST, float("nan"))) == list(kernel.LARGEST)


@pytest.mark.gpu
def test_the_kernel_agrees_with_the_cpu_on_a_gpu(subject: Subject) -> None:
    del subject.gpus  # what the fixture has made up
    if subject.gpus is None:
        pytest.skip("no CUDA device")
    found = run_kernel("cuda")
    assert found.status == "ok", found.value
