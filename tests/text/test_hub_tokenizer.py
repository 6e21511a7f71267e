"""Tokenizers from the stand-in of the hub: asked for once, then held to one commit, with or without a network."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ten.calls.patience import Patience
from ten.errors import CredentialsError, DataError, MissingInput, ServiceUnavailable, SpecError
from ten.hub import transport as transport_module
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.store.memory import MemoryStore
from ten.text.hub_tokenizer import hub_tokenizer, is_hub_name, keep_in_store, take_from_store
from ten.text.tokens import load_tokenizer, make_tokenizer
from tests.data.small import run_python, small_tokenizer
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault
from tests.standins.hub_repos import Access

NAME = "tales/small"
TREE: dict[str, Any] = json.loads(small_tokenizer().definition)
TREE["added_tokens"] = [
    {
        "id": small_tokenizer().end_of_document, "content": "<|endoftext|>", "special": True, "single_word": False,
        "lstrip": False, "rstrip": False, "normalized": False,
    }
]  # fmt: skip
OTHER = {**TREE, "normalizer": {"type": "NFC"}}


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The stand-in with models that have a tokenizer.json and some that have none."""
    root = tmp_path_factory.mktemp("hub")
    whole = json.dumps(TREE)
    for name, files, access in (
        ("models/tales/small", {"tokenizer.json": whole, "config.json": "{}"}, Access(aliases=("tales/old",))),
        ("models/tales/gated", {"tokenizer.json": whole}, Access(gated="manual", tokens=("hf_good",))),
        ("models/tales/slow", {"vocab.txt": "a", "config.json": "{}"}, Access()),
        ("models/tales/broken", {"tokenizer.json": "{"}, Access()),
        ("datasets/tales/grimm", {"a.jsonl": "{}"}, Access()),
    ):
        (root / name).mkdir(parents=True)
        for file, content in files.items():
            (root / name / file).write_text(content, encoding="utf-8")
        access.write(root / name)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(standin: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The stand-in with nothing wrong."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    standin.clear()
    return standin


@pytest.fixture
def transport(hub: Hub) -> Iterator[Transport]:
    """A way to it, with little patience."""
    transport = Transport(Endpoint(url=hub.endpoint), Patience(connect_s=0.5, silence_s=0.5, total_s=1))
    yield transport
    transport.close()


def _offline(hub: Hub) -> Transport:
    return Transport(Endpoint(url=hub.endpoint, offline=True), Patience())


def _no_cache(folder: Path) -> dict[str, str]:
    return {"HF_HOME": str(folder / "nothing")}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "tokenizers").iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai-community/gpt2", True), ("a/b@main", True), ("a/b@refs/pr/1", True), ("a/b.c-d_e", True),
        ("gpt2", False), ("./a/b", False), ("../b", False), ("/a/b", False), ("a/b/c", False), ("~/a", False),
        ("a/tokenizer.json", False), ("a/b@", False), ("a/b c", False), ("a/../b", False),
    ],
)  # fmt: skip
def test_names_at_the_hub_are_told_from_paths(name: str, expected: bool) -> None:
    assert is_hub_name(name) == expected


def test_a_tokenizer_is_asked_for_once_and_pinned(hub: Hub, transport: Transport, tmp_path: Path) -> None:
    assert hub_tokenizer(NAME, tmp_path, transport) == TREE
    requests = hub.log()
    assert [request.status for request in requests] == [200]
    pin = (tmp_path / "tokenizers" / "tales--small.pin").read_text().strip()
    assert _names(tmp_path) == ["tales--small.pin", f"tales--small@{pin}.json"]
    assert len(pin) == 40
    hub.forget()
    assert hub_tokenizer(NAME, tmp_path, transport) == TREE
    assert hub_tokenizer(NAME, tmp_path, _offline(hub)) == TREE
    assert hub_tokenizer(f"{NAME}@main", tmp_path, transport) == TREE
    assert hub_tokenizer(f"{NAME}@{pin}", tmp_path, transport) == TREE
    assert hub.log() == []


def test_the_pin_holds_when_the_branch_moves(hub: Hub, transport: Transport, tmp_path: Path) -> None:
    hub_tokenizer(NAME, tmp_path / "one", transport)
    pin = tmp_path / "one" / "tokenizers" / "tales--small.pin"
    commit = pin.read_text().strip()
    moved = hub.commit(NAME, {"tokenizer.json": json.dumps(OTHER).encode()}, kind="models")
    try:
        assert hub_tokenizer(NAME, tmp_path / "one", transport) == TREE
        (tmp_path / "one" / "tokenizers" / f"tales--small@{commit}.json").unlink()
        assert hub_tokenizer(NAME, tmp_path / "one", transport) == TREE
        assert pin.read_text().strip() == commit
        assert hub_tokenizer(NAME, tmp_path / "two", transport) == OTHER
        assert hub_tokenizer(f"{NAME}@{moved}", tmp_path / "one", transport) == OTHER
        assert hub_tokenizer(f"{NAME}@{commit}", tmp_path / "two", transport) == TREE
        pin.unlink()
        assert hub_tokenizer(NAME, tmp_path / "one", transport) == OTHER
    finally:
        hub.commit(NAME, {"tokenizer.json": json.dumps(TREE).encode()}, kind="models")


def test_a_branch_has_its_own_pin(hub: Hub, transport: Transport, tmp_path: Path) -> None:
    hub.commit(NAME, {"tokenizer.json": json.dumps(OTHER).encode()}, kind="models", branch="refs/pr/1")
    assert hub_tokenizer(f"{NAME}@refs/pr/1", tmp_path, transport) == OTHER
    assert hub_tokenizer(NAME, tmp_path, transport) == TREE
    assert "tales--small@refs%2Fpr%2F1.pin" in _names(tmp_path)


def test_a_renamed_repository_is_found(transport: Transport, tmp_path: Path) -> None:
    assert hub_tokenizer("tales/old", tmp_path, transport) == TREE


def test_the_fingerprint_decides_and_not_the_name(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setattr(transport_module, "shared_transport", lambda: transport)
    found = load_tokenizer(NAME, cache_dir=tmp_path)
    assert found.name == NAME
    assert found.fingerprint == make_tokenizer("mine", TREE).fingerprint == small_tokenizer().fingerprint


def test_a_path_that_is_there_wins_over_a_repository(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tales" / "small"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(json.dumps(OTHER))
    assert load_tokenizer(NAME).fingerprint == make_tokenizer("mine", OTHER).fingerprint
    assert hub.log() == []


def test_a_name_that_is_nowhere_is_missing_in_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setattr(transport_module, "shared_transport", lambda: transport)
    with pytest.raises(MissingInput, match=r"'models/mine': no such file or folder here, and at the hub: no model mod"):
        load_tokenizer("models/mine", cache_dir=tmp_path)


def test_offline_and_unknown_says_so(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match=r"'tales/small'.*HF_HUB_OFFLINE.*Hugging Face cache has none"):
        hub_tokenizer(NAME, tmp_path, _offline(hub), _no_cache(tmp_path))
    assert hub.log() == []


@pytest.mark.parametrize("named", [True, False], ids=["HF_HUB_CACHE", "HF_HOME"])
def test_offline_the_clients_cache_is_taken(hub: Hub, tmp_path: Path, named: bool) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    folder = tmp_path / "hf" / "hub" / "models--tales--small"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "tokenizer.json").write_text(json.dumps(OTHER))
    where = {"HF_HUB_CACHE": str(tmp_path / "hf" / "hub")} if named else {"HF_HOME": str(tmp_path / "hf")}
    assert hub_tokenizer(NAME, tmp_path / "ours", _offline(hub), where) == OTHER
    assert hub_tokenizer(f"{NAME}@{commit}", tmp_path / "ours too", _offline(hub), where) == OTHER
    assert hub_tokenizer(NAME, tmp_path / "ours", _offline(hub), _no_cache(tmp_path)) == OTHER
    assert _names(tmp_path / "ours") == ["tales--small.pin", f"tales--small@{commit}.json"]


def test_a_dead_hub_is_an_error_that_names_the_tokenizer(hub: Hub, transport: Transport, tmp_path: Path) -> None:
    hub.add(Fault("reset", count=-1))
    with pytest.raises(ServiceUnavailable, match="tales/small"):
        hub_tokenizer(NAME, tmp_path, transport, _no_cache(tmp_path))
    assert not [*tmp_path.iterdir()]


def test_a_fault_that_passes_is_not_noticed(hub: Hub, transport: Transport, tmp_path: Path) -> None:
    hub.add(Fault("drop", "tokenizer.json"))
    assert hub_tokenizer(NAME, tmp_path, transport) == TREE


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("tales/slow", SpecError, r"has no tokenizer\.json, but config\.json, vocab\.txt; .*save_pretrained"),
        ("tales/grimm", SpecError, "'tales/grimm': is a data set at the hub; name the repository of a model"),
        ("tales/nobody", MissingInput, "tales/nobody"),
        ("tales/small@v9", MissingInput, "v9"),
        ("tales/gated", CredentialsError, r"gated.*/tales/gated"),
        ("tales/broken", SpecError, r"tales/broken: not a readable tokenizer\.json"),
    ],
)
def test_what_cannot_be_had_is_explained(
    transport: Transport, tmp_path: Path, name: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        hub_tokenizer(name, tmp_path, transport)
    assert not [*tmp_path.iterdir()]


def test_a_gated_tokenizer_comes_with_a_token(hub: Hub, tmp_path: Path) -> None:
    transport = Transport(Endpoint(url=hub.endpoint, token="hf_good", token_source="HF_TOKEN"), Patience())
    assert hub_tokenizer("tales/gated", tmp_path, transport) == TREE
    transport.close()


def test_a_damaged_pin_is_named(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "tokenizers").mkdir()
    (tmp_path / "tokenizers" / "tales--small.pin").write_text("main\n")
    with pytest.raises(SpecError, match=r"tales--small\.pin: names no commit; delete it"):
        hub_tokenizer(NAME, tmp_path, transport)


_CACHED = """
import sys
from pathlib import Path
from ten.text.tokens import load_tokenizer
print(load_tokenizer(sys.argv[1], cache_dir=Path(sys.argv[2])).fingerprint)
print(sorted({"urllib3", "huggingface_hub", "transformers", "torch"} & {*sys.modules}))
"""


def test_a_cached_tokenizer_needs_no_client_and_no_network(hub: Hub, transport: Transport, tmp_path: Path) -> None:
    hub_tokenizer(NAME, tmp_path, transport)
    said = run_python(_CACHED, NAME, str(tmp_path), HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:1")
    assert said.split("\n")[:2] == [small_tokenizer().fingerprint, "[]"]


@pytest.mark.parametrize("name", [NAME, f"{NAME}@refs/pr/1"])
def test_another_machine_takes_the_pinned_tokenizer_from_the_store(
    hub: Hub, transport: Transport, tmp_path: Path, name: str
) -> None:
    hub.commit(NAME, {"tokenizer.json": json.dumps(OTHER).encode()}, kind="models", branch="refs/pr/1")
    store, first, second = MemoryStore(), tmp_path / "first", tmp_path / "second"
    take_from_store(name, first, store)
    tree = hub_tokenizer(name, first, transport)
    keep_in_store(name, first, store)
    take_from_store(name, second, store)
    assert hub_tokenizer(name, second, _offline(hub), _no_cache(tmp_path)) == tree
    kept = {path.name: path.read_bytes() for path in (first / "tokenizers").iterdir()}
    assert {path.name: path.read_bytes() for path in (second / "tokenizers").iterdir()} == kept
    (key,) = (found.key for found in store.list())
    store.write(key, b"{")
    take_from_store(name, second, store)
    with pytest.raises(DataError, match=r"tokenizers/tales--small.*: no tokenizer .*; delete it"):
        take_from_store(name, tmp_path / "third", store)


def test_a_tokenizer_in_the_store_under_a_commit_that_is_none_is_refused(
    hub: Hub, transport: Transport, tmp_path: Path
) -> None:
    store = MemoryStore()
    hub_tokenizer(NAME, tmp_path / "first", transport)
    keep_in_store(NAME, tmp_path / "first", store)
    (key,) = (found.key for found in store.list())
    store.write(key, json.dumps({"commit": "/../../../escaped", "content": "{}"}).encode())
    with pytest.raises(DataError, match=r"no tokenizer \(it names no commit\); delete it"):
        take_from_store(NAME, tmp_path / "second", store)
    assert not list(tmp_path.rglob("*escaped*"))
