"""What is damaged is made good, or taken out of the way."""

from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.holdings.naming import Holding
from ten.holdings.repair import Elsewhere, Repaired, repair
from ten.holdings.transfer import transfer
from ten.holdings.verify import verify
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store
from ten.train.checkpoint_files import find_newest
from tests.data.small import pack_into, recipe_of
from tests.holdings.stores import flip, objects

SHARD = "shards/00001.safetensors"


def nowhere(_holding: Holding) -> list[tuple[Store, Holding]]:
    """No other place."""
    return []


def at(*stores: Store) -> Elsewhere:
    """Copies in these stores, where stores have them."""
    return lambda holding: [(store, holding) for store in stores]


def mend(store: Store, holding: Holding, elsewhere: Elsewhere) -> Repaired:
    """Verify and repair."""
    return repair(store, verify(store, [holding]).damaged, elsewhere)


@pytest.fixture(params=["local", "memory"])
def copied(request: pytest.FixtureRequest, folder: LocalStore, pack: Holding, run: Holding, tmp_path: Path) -> Store:
    """A copy of all that the folder has, to be damaged."""
    store: Store = LocalStore(tmp_path / "copy") if request.param == "local" else MemoryStore("memory:copy/")
    transfer(folder, store, [pack, run])
    return store


def test_everything_that_has_a_sound_copy_is_replaced(
    folder: LocalStore, copied: Store, pack: Holding, run: Holding
) -> None:
    for name in (SHARD, "tokenizer.json"):
        flip(copied, pack.key(name))
    copied.delete(pack.key("shards/00000.safetensors"))
    copied.write(pack.key("shards/00002.safetensors"), b"cut")
    flip(copied, run.key("checkpoints/step-00000200/model.safetensors"))
    for holding in (pack, run):
        repaired = mend(copied, holding, at(MemoryStore("memory:empty/"), folder))
        assert repaired.damaged == ()
        assert all(done.mended and "replaced by the sound copy" in done.done for done in repaired.repairs)
    assert objects(copied) == objects(folder)


def test_behind_a_damaged_manifest_or_seal_all_it_lists_is_made_good(
    folder: LocalStore, copied: Store, pack: Holding, run: Holding
) -> None:
    copied.write(pack.key("manifest.json"), b"{")
    copied.delete(pack.key(SHARD))
    copied.write(run.key("checkpoints/step-00000200/COMPLETE"), b"{")
    copied.delete(run.key("checkpoints/step-00000200/state.json"))
    for holding in (pack, run):
        assert mend(copied, holding, at(folder)).damaged == ()
    assert objects(copied) == objects(folder)


def test_a_copy_that_is_damaged_too_replaces_nothing(folder: LocalStore, copied: Store, pack: Holding) -> None:
    for store in (folder, copied):
        flip(store, pack.key(SHARD))
    repaired = mend(copied, pack, at(folder))
    assert [finding.item.name for finding in repaired.damaged] == [SHARD]
    (aside,) = repaired.repairs
    assert "put aside" in aside.done
    assert copied.stat(pack.key(SHARD)) is None
    assert len(copied.children(pack.key("damaged"))) == 1
    (still,) = verify(copied, [pack]).damaged
    assert "missing" in str(still.damage)


def test_what_was_put_aside_is_packed_anew(folder: LocalStore, pack: Holding, corpus_path: Path) -> None:
    before = folder.read(pack.key(SHARD))
    flip(folder, pack.key(SHARD))
    assert len(mend(folder, pack, nowhere).damaged) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ten.text.units._MIN_UNIT_TEXT_BYTES", 2048)
        pack_into(ShardCache(folder, recipe_of(corpus_path)))
    assert folder.read(pack.key(SHARD)) == before
    assert verify(folder, [pack]).damaged == ()


def test_a_damaged_shard_of_an_unfinished_pack_only_makes_way(copied: Store, pack: Holding) -> None:
    copied.delete(pack.key("manifest.json"))
    flip(copied, pack.key(SHARD))
    assert mend(copied, pack, nowhere).damaged == ()
    assert copied.stat(pack.key(SHARD)) is None


def test_a_cache_without_a_manifest_is_mended_from_the_store(folder: LocalStore, copied: Store, pack: Holding) -> None:
    folder.delete(pack.key("manifest.json"))
    flip(folder, pack.key(SHARD))
    assert mend(folder, pack, at(copied)).damaged == ()
    assert folder.read(pack.key(SHARD)) == copied.read(pack.key(SHARD))


def test_a_damaged_checkpoint_is_unpublished_where_another_is_sound(folder: LocalStore, run: Holding) -> None:
    flip(folder, run.key("checkpoints/step-00000200/model.safetensors"))
    flip(folder, run.key("checkpoints/step-00000200/state.json"))
    repaired = mend(folder, run, nowhere)
    assert repaired.damaged == ()
    assert ["unpublished" in done.done for done in repaired.repairs] == [True]
    assert verify(folder, [run]).damaged == ()
    newest = find_newest(Path(folder.url) / run.key("checkpoints"))
    assert newest is not None
    assert newest.name == "step-00000100"


def test_where_every_checkpoint_is_damaged_all_stay_to_be_looked_at(folder: LocalStore, run: Holding) -> None:
    for step in (100, 200):
        flip(folder, run.key(f"checkpoints/step-00000{step}/model.safetensors"))
    repaired = mend(folder, run, nowhere)
    assert len(repaired.damaged) == 2
    assert repaired.repairs == ()
