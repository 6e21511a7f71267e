"""Every byte against its hash."""

import msgspec
import pytest

from ten.data import manifest as manifests
from ten.data.manifest import encode_manifest
from ten.holdings.contents import Checkpoint, read_checkpoint, read_manifest
from ten.holdings.naming import Holding
from ten.holdings.transfer import transfer
from ten.holdings.verify import Audit, verify
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store
from tests.holdings.stores import flip

SHARD = "shards/00001.safetensors"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, folder: LocalStore, pack: Holding, run: Holding) -> Store:
    """A sound pack and a sound run in a store of either kind."""
    if request.param == "local":
        return folder
    copied = MemoryStore("memory:copied/")
    transfer(folder, copied, [pack, run])
    return copied


def damage(audit: Audit) -> list[tuple[str, str]]:
    """Kind and name of what is damaged."""
    return [(finding.kind, finding.item.name) for finding in audit.damaged]


def test_what_is_sound_is_read_whole(store: Store, pack: Holding, run: Holding) -> None:
    audit = verify(store, [pack, run])
    assert (damage(audit), audit.unfinished) == ([], ())
    kept = [stat.bytes for stat in store.list() if stat.key.endswith(".safetensors")]
    assert audit.checked > len(kept)
    assert audit.bytes >= sum(kept)


def test_a_turned_bit_a_missing_shard_and_one_cut_short_are_each_named(store: Store, pack: Holding) -> None:
    flip(store, pack.key("shards/00000.safetensors"))
    store.delete(pack.key(SHARD))
    store.write(pack.key("shards/00002.safetensors"), store.read(pack.key("shards/00002.safetensors"))[:-7])
    audit = verify(store, [pack])
    assert damage(audit) == [("shard", f"shards/0000{number}.safetensors") for number in range(3)]
    first, second, third = (str(finding.damage) for finding in audit.damaged)
    assert "sha256" in first
    assert "missing" in second
    assert "bytes instead of" in third
    assert all("`ten pack`" in said for said in (first, second, third))


def test_another_tokenizer_is_damage(store: Store, pack: Holding) -> None:
    store.write(pack.key("tokenizer.json"), b"{}")
    assert damage(verify(store, [pack])) == [("tokenizer", "tokenizer.json")]


def test_shards_of_an_unfinished_pack_speak_for_themselves(store: Store, pack: Holding) -> None:
    store.delete(pack.key("manifest.json"))
    assert damage(verify(store, [pack])) == []
    assert len(verify(store, [pack]).unfinished) == 1
    flip(store, pack.key(SHARD))
    store.write(pack.key("shards/00000.safetensors"), store.read(pack.key("shards/00002.safetensors")))
    audit = verify(store, [pack])
    assert damage(audit) == [("shard", "shards/00000.safetensors"), ("shard", SHARD)]
    assert "holds unit 2" in str(audit.damaged[0].damage)


def test_a_damaged_manifest_leaves_shards_that_are_checked(store: Store, pack: Holding) -> None:
    store.write(pack.key("manifest.json"), b"{")
    flip(store, pack.key(SHARD))
    audit = verify(store, [pack])
    assert damage(audit) == [("manifest", "manifest.json"), ("shard", SHARD)]
    assert audit.unfinished == ()


def test_pages_of_a_large_manifest_are_checked(store: Store, pack: Holding) -> None:
    listed = read_manifest(store, pack)
    assert listed is not None
    pages: dict[str, bytes] = {}
    entries = tuple(manifests._write_pages(iter(listed.shards), pages.__setitem__))
    paged = msgspec.structs.replace(listed, shards=(), first=listed.shards[0], pages=entries)
    store.write(pack.key("manifest.json"), encode_manifest(paged))
    (name,) = pages
    assert damage(verify(store, [pack])) == [("page", name)]
    store.write(pack.key(name), pages[name])
    assert damage(verify(store, [pack])) == []
    flip(store, pack.key(SHARD))
    assert damage(verify(store, [pack])) == [("shard", SHARD)]
    flip(store, pack.key(name))
    assert damage(verify(store, [pack])) == [("page", name)]


def test_files_of_checkpoints_are_checked(store: Store, run: Holding) -> None:
    flip(store, run.key("checkpoints/step-00000100/model.safetensors"))
    store.write(run.key("checkpoints/step-00000200/COMPLETE"), b"{")
    audit = verify(store, [run])
    assert damage(audit) == [
        ("checkpoint", "checkpoints/step-00000200/COMPLETE"),
        ("checkpoint", "checkpoints/step-00000100/model.safetensors"),
    ]
    assert "the checkpoint before it is used" in str(audit.damaged[0].damage)


@pytest.mark.parametrize("remains", [["state.json"], []])
def test_a_checkpoint_that_its_trainer_deletes_meanwhile_is_no_damage(
    store: Store, run: Holding, monkeypatch: pytest.MonkeyPatch, remains: list[str]
) -> None:
    def read_and_delete(store: Store, run: Holding, name: str) -> Checkpoint:
        if name.endswith("200") or remains:
            found = read_checkpoint(store, run, name)
        for gone in {"COMPLETE", "model.safetensors", "state.json"} - {*remains}:
            store.delete(run.key(f"checkpoints/step-00000100/{gone}"))
        return found if name.endswith("200") or remains else read_checkpoint(store, run, name)

    monkeypatch.setattr("ten.holdings.verify.read_checkpoint", read_and_delete)
    assert damage(verify(store, [run])) == []


def test_an_unfinished_checkpoint_is_none(store: Store, run: Holding) -> None:
    store.delete(run.key("checkpoints/step-00000200/COMPLETE"))
    store.delete(run.key("checkpoints/step-00000200/model.safetensors"))
    assert damage(verify(store, [run])) == []
