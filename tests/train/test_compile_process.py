"""The compile process and the store: what is taken from it, what is sent there, and that neither can stop it."""

from types import SimpleNamespace

import msgspec
import pytest
import torch

from ten.errors import ServiceUnavailable
from ten.model.presets import ModelConfig
from ten.store.memory import MemoryStore
from ten.train import compile_process
from ten.train.compile_cache import fetch, send
from ten.train.compile_process import CompileTask

TASK = CompileTask(
    model=ModelConfig(layers=2, width=16, eigenstates=8, mlp_width=24, convolution=4, max_memory=64.0),
    rows=2, seq_len=24, precision="fp32", level="keep", segment=2048, device="cpu", threads=1,
    machine="here", folder="/nowhere",
    store="s3://bucket/ten",
)  # fmt: skip


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The task's store, with a secret key."""
    store = MemoryStore()
    monkeypatch.setattr(compile_process, "open_store", lambda _: store)
    monkeypatch.setattr(
        compile_process, "read_settings", lambda _: SimpleNamespace(keys=SimpleNamespace(secret="key"))
    )  # fmt: skip
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: (b"new", None))
    return store


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What torch was given to load."""
    given: list[bytes] = []
    monkeypatch.setattr(torch.compiler, "load_cache_artifacts", given.append)
    return given


def test_the_key_tells_apart_what_is_compiled_otherwise_and_nothing_else() -> None:
    others = [
        msgspec.structs.replace(TASK, **change)
        for change in ({"rows": 3}, {"seq_len": 25}, {"precision": "bf16"}, {"threads": 2}, {"machine": "there"})
    ]
    assert len({task.key for task in (TASK, *others)}) == 6
    assert msgspec.structs.replace(TASK, folder="/elsewhere", publishes=False, device="cuda:1").key == TASK.key


def test_the_stores_copy_is_loaded_if_it_is_sealed(store: MemoryStore, loaded: list[bytes]) -> None:
    assert compile_process._load(TASK) is None
    send(store, TASK.key, "another key", b"foreign")
    assert compile_process._load(TASK) is None
    send(store, TASK.key, "key", b"ours")
    assert compile_process._load(TASK) == b"ours"
    assert loaded == [b"ours"]


@pytest.mark.parametrize(
    ("known", "missed", "publishes", "expected"),
    [(None, 0, True, b"new"), (b"old", 0, True, None), (b"old", 2, True, b"new"), (None, 8, False, None)],
)
def test_what_the_store_lacks_is_sent_once(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch,
    known: bytes | None, missed: int, publishes: bool, expected: bytes | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(compile_process, "_missed", lambda: missed)
    task = msgspec.structs.replace(TASK, publishes=publishes)
    compile_process._publish(task, known)
    assert fetch(store, task.key, "key") == expected


def test_without_an_object_store_none_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_process, "open_store", lambda _: pytest.fail("asked"))
    task = msgspec.structs.replace(TASK, store=None)
    assert compile_process._load(task) is None
    compile_process._publish(task, None)


def test_a_store_that_does_not_answer_holds_nothing_up(
    store: MemoryStore, loaded: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> MemoryStore:
        raise ServiceUnavailable("no answer")

    monkeypatch.setattr(compile_process, "open_store", fail)
    assert compile_process._load(TASK) is None
    compile_process._publish(TASK, None)
    assert loaded == [] and caplog.text.count("no answer") == 2


def test_an_error_is_one_line() -> None:
    assert compile_process.first_line(ValueError("a\nb")) == "ValueError: a"
    assert compile_process.first_line(ValueError()) == "ValueError: no words"
