"""Tensors written piece by piece are a safetensors file like any other."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from ten.train.tensor_file import pieces


def test_safetensors_reads_back_every_type_shape_and_bit(tmp_path: Path) -> None:
    tensors = {
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 4),
        "matrix": torch.randn(3, 5),
        "transposed": torch.randn(3, 5).T,
        "half": torch.randn(7).bfloat16(),
        "wide": torch.randn(2, dtype=torch.float64),
        "count": torch.arange(5),
        "flags": torch.tensor([True, False, True]),
    }
    (tmp_path / "t.safetensors").write_bytes(b"".join(pieces(tensors)))
    loaded = load_file(tmp_path / "t.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor), name


def test_equal_tensors_give_equal_bytes_in_any_order() -> None:
    tensors = {name: torch.full((3,), float(i)) for i, name in enumerate("abc")}
    backwards = dict(reversed(tensors.items()))
    assert b"".join(pieces(tensors)) == b"".join(pieces(backwards))
