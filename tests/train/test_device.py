"""Devices and precision."""

import pytest
import torch

from ten.errors import Resumable, SpecError
from ten.train.device import autocast, lacks_memory, named_faults, open_device, resolve_precision


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert open_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match=r"train\.device: 'gpu'"):
        open_device("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(SpecError, match="no CUDA GPU"):
        open_device("cuda")


def test_auto_precision_follows_the_device() -> None:
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"
    assert resolve_precision("auto", torch.device("cuda")) == "bf16"
    assert resolve_precision("fp32", torch.device("cuda")) == "fp32"
    assert resolve_precision("auto", torch.device("cpu"), "bf16") == "bf16"


def test_bf16_applies_to_matrix_products_only() -> None:
    weight = torch.randn(3, 3)
    with autocast("bf16", torch.device("cpu")):
        assert (weight @ weight).dtype == torch.bfloat16
        assert (weight + weight).dtype == torch.float32
    with autocast("fp32", torch.device("cpu")):
        assert (weight @ weight).dtype == torch.float32


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (torch.OutOfMemoryError("CUDA error"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_a_lack_of_memory_is_known_whoever_says_it(error: RuntimeError, lacks: bool) -> None:
    assert lacks_memory(error) is lacks


def test_a_lack_of_main_memory_is_known_too() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    assert lacks_memory(refused.value)


def test_faults_that_are_none_of_the_device_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), named_faults():
        raise RuntimeError("shapes do not match")
    with pytest.raises(SpecError, match="adamw8bit"), named_faults():
        raise RuntimeError("Triton Error [CUDA]: out of memory")
    with pytest.raises(Resumable, match="the GPU failed"), named_faults():
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
