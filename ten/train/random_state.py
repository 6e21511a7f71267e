"""RandomState: every random generator of the process, so that a resumed run draws what it would have drawn."""

import random
from typing import Any

import msgspec
import numpy as np
import torch


class NumpyState(msgspec.Struct, frozen=True, kw_only=True):
    """numpy's global Mersenne Twister; `keys` as bytes of uint32."""

    keys: bytes
    position: int
    has_gauss: int
    cached_gaussian: float


class RandomState(msgspec.Struct, frozen=True, kw_only=True):
    """torch's CPU and CUDA generators, numpy's and Python's; bytes are base64 in JSON."""

    torch_cpu: bytes
    torch_cuda: bytes | None
    numpy: NumpyState
    python_version: int
    python_internal: list[int]
    python_gauss: float | None


def capture() -> RandomState:
    """The generators as they are now; CUDA's is that of the current device, None where there is none."""
    numpy: Any = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return RandomState(
        torch_cpu=torch.get_rng_state().numpy().tobytes(),
        torch_cuda=torch.cuda.get_rng_state().numpy().tobytes() if torch.cuda.is_available() else None,
        numpy=NumpyState(keys=numpy[1].tobytes(), position=numpy[2], has_gauss=numpy[3], cached_gaussian=numpy[4]),
        python_version=version,
        python_internal=list(internal),
        python_gauss=gauss,
    )


def restore(state: RandomState) -> None:
    """Put the generators back; CUDA's only where both the state and this machine have one."""
    torch.set_rng_state(_tensor(state.torch_cpu))
    if state.torch_cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(_tensor(state.torch_cuda))
    keys = np.frombuffer(state.numpy.keys, dtype=np.uint32)
    np.random.set_state(("MT19937", keys, state.numpy.position, state.numpy.has_gauss, state.numpy.cached_gaussian))
    random.setstate((state.python_version, tuple(state.python_internal), state.python_gauss))


def _tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
