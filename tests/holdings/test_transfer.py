"""Packs and runs from store to store."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ten.errors import DataError, SpecError
from ten.holdings.move import Moved
from ten.holdings.naming import Holding
from ten.holdings.transfer import transfer
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store
from ten.train.checkpoint_files import publish
from ten.train.run_record import RunRecord, write_run
from tests.holdings.stores import SpiedStore, flip, objects

SHARD = "shards/00001.safetensors"
NEWEST = "checkpoints/step-00000200"


def one(moved: list[Moved]) -> Moved:
    """The only one."""
    (found,) = moved
    return found


def test_packs_and_runs_arrive_whole_in_stores_of_any_kind(
    folder: LocalStore, empty: Store, pack: Holding, run: Holding, tmp_path: Path
) -> None:
    moved = transfer(folder, empty, [pack, run])
    assert objects(empty) == objects(folder)
    assert sum(one.moved for one in moved) == len(objects(folder))
    assert sum(one.moved_bytes for one in moved) == sum(map(len, objects(folder).values()))
    back = MemoryStore("memory:back/")
    transfer(empty, back, [pack, run])
    assert objects(back) == objects(folder)
    home = LocalStore(tmp_path / "home")
    transfer(back, home, [pack, run])
    assert objects(home) == objects(folder)


def test_what_is_there_is_not_moved_again(folder: LocalStore, empty: Store, pack: Holding, run: Holding) -> None:
    transfer(folder, empty, [pack, run])
    empty.delete(pack.key(SHARD))
    flip(empty, pack.key("shards/00002.safetensors"))
    moved_pack, moved_run = transfer(folder, empty, [pack, run])
    assert (moved_pack.moved, moved_run.moved) == (2, 0)
    assert moved_pack.there + moved_run.there + 2 == len(objects(folder))
    assert objects(empty) == objects(folder)


def test_the_manifest_comes_last_and_complete_behind_its_files(folder: LocalStore, pack: Holding, run: Holding) -> None:
    store = SpiedStore()
    transfer(folder, store, [pack])
    assert store.changed[-2:] == [pack.key("tokenizer.json"), pack.key("manifest.json")]
    store.changed.clear()
    transfer(folder, store, [run])
    below = [key.removeprefix(f"{run.prefix}/") for key in store.changed]
    assert set(below[:3]) == {"run.json", "tokenizer.json", "metrics.jsonl"}
    assert below[5] == f"{NEWEST}/COMPLETE"
    assert below[8] == "checkpoints/step-00000100/COMPLETE"


def test_ended_in_the_middle_the_rest_is_moved_later(folder: LocalStore, pack: Holding) -> None:
    store = SpiedStore()
    store.refuse = lambda key: key.endswith("00003.safetensors")
    with pytest.raises(KeyboardInterrupt):
        transfer(folder, store, [pack])
    had = set(objects(store))
    assert had
    assert pack.key("manifest.json") not in had
    store.refuse = lambda key: False
    store.changed.clear()
    transfer(folder, store, [pack])
    assert set(store.changed) == set(objects(folder, pack.prefix)) - had


def test_only_the_last_checkpoint_moves_when_that_is_asked(folder: LocalStore, empty: Store, run: Holding) -> None:
    transfer(folder, empty, [run], last=True)
    assert set(empty.children(run.key("checkpoints"))) == {"step-00000200"}


def test_damaged_objects_are_left_out_and_with_them_what_lists_them(
    folder: LocalStore, empty: Store, pack: Holding, run: Holding
) -> None:
    flip(folder, pack.key(SHARD))
    flip(folder, run.key(f"{NEWEST}/model.safetensors"))
    moved_pack, moved_run = transfer(folder, empty, [pack, run])
    assert len(moved_pack.damaged) == len(moved_run.damaged) == 1
    assert SHARD in moved_pack.damaged[0]
    assert empty.stat(pack.key("manifest.json")) is None
    assert empty.stat(pack.key(SHARD)) is None
    assert empty.stat(pack.key("shards/00000.safetensors")) is not None
    assert empty.stat(run.key(f"{NEWEST}/COMPLETE")) is None
    assert empty.stat(run.key("checkpoints/step-00000100/COMPLETE")) is not None


def test_an_unfinished_pack_moves_as_far_as_it_goes(folder: LocalStore, empty: Store, pack: Holding) -> None:
    folder.delete(pack.key("manifest.json"))
    flip(folder, pack.key(SHARD))
    moved = one(transfer(folder, empty, [pack]))
    assert "unfinished" in moved.notes[0]
    assert SHARD in moved.damaged[0]
    names = set(empty.children(pack.key("shards")))
    assert names == set(folder.children(pack.key("shards"))) - {"00001.safetensors"}
    assert one(transfer(folder, empty, [pack])).moved == 0


def test_a_checkpoint_that_is_replaced_is_not_complete_meanwhile(folder: LocalStore, run: Holding) -> None:
    store = SpiedStore()
    transfer(folder, store, [run])
    checkpoints = Path(folder.url) / run.key("checkpoints")
    publish(checkpoints, 200, {"model.safetensors": lambda: [b"of a second life"]}, expected_bytes=0)
    store.refuse = lambda key: key.endswith("model.safetensors")
    with pytest.raises(KeyboardInterrupt):
        transfer(folder, store, [run])
    assert store.stat(run.key(f"{NEWEST}/COMPLETE")) is None
    store.refuse = lambda key: False
    transfer(folder, store, [run])
    assert store.read(run.key(f"{NEWEST}/model.safetensors")) == b"of a second life"


def test_a_run_that_is_further_keeps_its_record(folder: LocalStore, empty: Store, run: Holding) -> None:
    transfer(folder, empty, [run])
    empty.write(run.key("metrics.jsonl"), b"of more steps")
    for name in ("COMPLETE", "model.safetensors", "state.json"):
        folder.delete(run.key(f"{NEWEST}/{name}"))
    moved = one(transfer(folder, empty, [run]))
    assert "up to step 200" in moved.notes[0]
    assert empty.read(run.key("metrics.jsonl")) == b"of more steps"


def test_another_run_of_that_name_is_refused(folder: LocalStore, empty: Store, run: Holding, tmp_path: Path) -> None:
    transfer(folder, empty, [run])
    before = objects(empty)
    created = datetime(2026, 3, 4, tzinfo=UTC)
    record = RunRecord(run=run.name, created=created, spec={}, total_tokens=9)
    write_run(Path(folder.url) / run.key("run.json"), record)
    with pytest.raises(SpecError, match=r"another run of that name, begun 2026-01-02.* and not 2026-03-04"):
        transfer(folder, empty, [run])
    assert objects(empty) == before


def test_a_damaged_record_replaces_none_and_a_damaged_one_is_replaced(
    folder: LocalStore, empty: Store, run: Holding
) -> None:
    sound = folder.read(run.key("run.json"))
    transfer(folder, empty, [run])
    folder.write(run.key("run.json"), b"{")
    with pytest.raises(DataError, match=r"run\.json: no run record"):
        transfer(folder, empty, [run])
    assert empty.read(run.key("run.json")) == sound
    folder.write(run.key("run.json"), sound)
    empty.write(run.key("run.json"), b"{")
    transfer(folder, empty, [run])
    assert empty.read(run.key("run.json")) == sound


def test_a_checkpoint_that_its_trainer_deletes_meanwhile_is_a_note_and_no_damage(
    folder: LocalStore, run: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_and_delete(store: SpiedStore, key: str, path: Path, **more: Any) -> None:
        if key == run.key("checkpoints/step-00000100/model.safetensors"):
            for name in ("COMPLETE", "state.json"):
                folder.delete(run.key(f"checkpoints/step-00000100/{name}"))
            path.unlink()
        MemoryStore.send(store, key, path, **more)

    store = SpiedStore()
    monkeypatch.setattr(SpiedStore, "send", send_and_delete)
    moved = one(transfer(folder, store, [run]))
    assert (moved.damaged, store.stat(run.key("checkpoints/step-00000100/COMPLETE"))) == ((), None)
    assert "step-00000100 was deleted" in moved.notes[0]
    assert store.stat(run.key(f"{NEWEST}/COMPLETE")) is not None


def test_a_store_is_not_moved_onto_itself(folder: LocalStore, pack: Holding) -> None:
    with pytest.raises(SpecError, match="where from and where to"):
        transfer(folder, LocalStore(Path(folder.url)), [pack])
