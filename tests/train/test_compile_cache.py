"""The compile cache: one folder a kind of machine; nothing from a store that the same secret key has not sealed."""

from pathlib import Path

import pytest

from ten.store.memory import MemoryStore
from ten.train.compile_cache import fetch, machine_name, send, set_folder

KEY = "compiled/torch-2/0123"


def test_what_was_sent_comes_back_and_only_under_its_name() -> None:
    store = MemoryStore()
    assert fetch(store, KEY, "secret") is None
    send(store, KEY, "secret", b"artifacts")
    assert fetch(store, KEY, "secret") == b"artifacts"
    store.write("compiled/torch-2/other", store.read(KEY))
    assert fetch(store, "compiled/torch-2/other", "secret") is None


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_a_byte_that_differs_makes_it_absent(at: int) -> None:
    store = MemoryStore()
    send(store, KEY, "secret", b"artifacts")
    damaged = bytearray(store.read(KEY))
    damaged[at] ^= 1
    store.write(KEY, bytes(damaged))
    assert fetch(store, KEY, "secret") is None


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 32, b"x" * 100])
def test_what_nobody_sealed_is_absent(data: bytes) -> None:
    store = MemoryStore()
    store.write(KEY, data)
    assert fetch(store, KEY, "secret") is None


def test_who_has_another_secret_key_is_not_trusted() -> None:
    store = MemoryStore()
    send(store, KEY, "theirs", b"artifacts")
    assert fetch(store, KEY, "ours") is None


def test_machines_that_compile_otherwise_have_other_folders() -> None:
    names = {
        machine_name(device, version, cuda)
        for device in ("NVIDIA L40S", "NVIDIA H200")
        for version in ("2.13.0+cu130", "2.11.0+cu130")
        for cuda in ("13.0", None)
    }
    assert len(names) == 8
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") for name in names)


def test_tritons_own_folder_stays_where_the_environment_has_it(tmp_path: Path) -> None:
    folder = tmp_path
    assert set_folder(folder, {}) == {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
    }
    assert set(set_folder(folder, {"TRITON_CACHE_DIR": "/volume"})) == {"TORCHINDUCTOR_CACHE_DIR"}
