"""Devices and precision."""

import pytest
import torch

from ten.errors import SpecError
from ten.train.device import autocast, open_device, resolve_precision


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
