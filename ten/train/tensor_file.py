"""Named tensors as a safetensors file: written piece by piece, read tensor by tensor, by rank 0 for all ranks.

So a hash can run along, memory stays small, and the bytes are the same however many ranks share the tensors out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ten.errors import DataError
from ten.train.distributed import World
from ten.train.sharding import fill, whole

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class Kind(NamedTuple):
    """Type and shape of a stored tensor."""

    name: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Of torch."""
        return next(dtype for dtype, name in _DTYPES.items() if name == self.name)


def pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file of `tensors` (any device): header, then one piece a tensor.

    Wide types come first and names are sorted: every tensor is aligned and equal tensors give equal bytes. One that is
    shared out is gathered when its turn comes, and the other ranks must `attend`.
    """
    ordered = _ordered(tensors)
    header: dict[str, dict[str, object]] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, tensor in ordered:
        end = offset + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in ordered:
        flat = whole(tensor).detach().reshape(-1).contiguous().cpu()
        yield flat.view(torch.uint8).numpy().data


def attend(tensors: Mapping[str, Tensor]) -> None:
    """Take part in what rank 0 gathers for `pieces`."""
    for _, tensor in _ordered(tensors):
        whole(tensor)


class StoredTensors:
    """A safetensors file that rank 0 has: `kinds` says on every rank which tensors it holds, in one order.

    Opening one that is damaged raises DataError.
    """

    def __init__(self, path: Path, world: World) -> None:
        self._file: Any = _opened(path) if world.is_first else None
        self._world = world
        kinds = msgspec.json.encode(self._kinds() if world.is_first else {})
        self.kinds = msgspec.json.decode(world.bytes_from_first(kinds), type=dict[str, Kind])

    def read_into(self, tensor: Tensor, name: str) -> None:
        """Give a tensor the stored values, on every rank; each must ask for the same."""
        fill(tensor, self._file.get_tensor(name) if self._world.is_first else None, self._world)

    def _kinds(self) -> dict[str, Kind]:
        slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118 - it is no mapping
        return {name: Kind(one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise DataError(f"{path}: no safetensors file ({error}); put a sound copy there") from error


def _ordered(tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
