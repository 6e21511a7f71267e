"""The compile cache: a folder for each kind of machine, and a sealed copy in the run's object store.

What is in it is code that runs when it is read, so a copy from a store is taken only with the seal (HMAC-SHA256) of
whoever holds the store's own secret key: a machine trusts those that have the same key, and nobody else who can write
there. A folder as the store needs no copy: the cache lies in it.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ten.errors import MissingInput
from ten.store.protocol import Store

_SEAL_BYTES = 32
_PURPOSE = b"ten compile cache 1\0"


def machine_name(device: str, torch_version: str, cuda: str | None) -> str:
    """A folder name for machines that compile alike: versions of torch, CUDA and Triton, and the device's name."""
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = "none"
    parts = (f"torch-{torch_version}", f"cuda-{cuda or 'none'}", f"triton-{triton}", device)
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts)).strip("-")


def set_folder(folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that make `folder` torch's compile cache; Triton's own stays where the environment has put it."""
    variables = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
    if not environment.get("TRITON_CACHE_DIR"):
        variables["TRITON_CACHE_DIR"] = str(folder / "triton")
    return variables


def fetch(store: Store, key: str, secret: str) -> bytes | None:
    """The artifacts at `key`; None where there are none, or none with the seal of this secret key."""
    try:
        sealed = store.read(key)
    except MissingInput:
        return None
    seal, artifacts = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    return artifacts if hmac.compare_digest(seal, _seal(key, artifacts, secret)) else None


def send(store: Store, key: str, secret: str, artifacts: bytes) -> None:
    """Put artifacts at `key`, sealed."""
    store.write(key, _seal(key, artifacts, secret) + artifacts)


def _seal(key: str, artifacts: bytes, secret: str) -> bytes:
    """Over the key too, so that no sealed object can be put in another one's place."""
    return hmac.new(secret.encode(), _PURPOSE + key.encode() + b"\0" + artifacts, hashlib.sha256).digest()
