"""What a name on the command line means."""

from pathlib import Path

import pytest

from ten.errors import MissingInput
from ten.holdings.naming import Holding, find, find_all, find_at, find_named
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore

RUN = Holding(kind="run", name="train-tales-nano", prefix="runs/train-tales-nano")


def test_a_pack_or_run_may_be_named_as_it_is_in_the_store(folder: LocalStore, pack: Holding) -> None:
    assert find(pack.name, folder.url)[1] == [pack]
    assert find(f"packs/{pack.name}", folder.url)[1] == [pack]
    assert find("train-tales-nano", folder.url)[1] == [RUN]


def test_without_a_name_it_is_everything(folder: LocalStore, pack: Holding) -> None:
    store, holdings = find(None, folder.url)
    assert (store.url, holdings) == (folder.url, [pack, RUN])


def test_a_path_in_a_store_is_that_pack_of_that_store(folder: LocalStore, pack: Holding, tmp_path: Path) -> None:
    store, holdings = find(f"{folder.root / pack.prefix}/", str(tmp_path / "other"))
    assert (store.url, holdings) == (folder.url, [pack])


def test_a_pack_outside_of_any_store_may_be_given_by_its_path(
    folder: LocalStore, pack: Holding, tmp_path: Path
) -> None:
    copied = (folder.root / pack.prefix).rename(tmp_path / pack.name)
    store, holdings = find_at(str(copied))
    assert (store.url, holdings) == (str(copied), [Holding(kind="pack", name=pack.name, prefix="")])
    assert holdings[0].key("manifest.json") == "manifest.json"
    assert holdings[0].usual_prefix == pack.prefix


def test_a_wrong_name_brings_the_nearest(folder: LocalStore, pack: Holding, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=f"did you mean '{pack.name}'"):
        find(f"{pack.name[:-1]}x", folder.url)
    with pytest.raises(MissingInput, match="no pack, run or store"):
        find(None, str(tmp_path / "nothing"))
    with pytest.raises(MissingInput, match="nothing is in"):
        find("train-tales-nano", str(tmp_path / "nothing"))


def test_files_among_the_packs_are_none(folder: LocalStore, pack: Holding) -> None:
    (folder.root / "packs" / ".DS_Store").write_bytes(b"x")
    assert find_all(folder) == [pack, RUN]


def test_runs_that_a_cache_keeps_for_a_store_are_found(folder: LocalStore, tmp_path: Path) -> None:
    assert folder.root is not None
    kept = tmp_path / "cache" / "runs" / "bucket-prefix-01234567"
    kept.mkdir(parents=True)
    (folder.root / RUN.prefix).rename(kept / RUN.name)
    (found,) = find(None, str(tmp_path / "cache"))[1]
    assert (found.name, found.prefix) == (RUN.name, f"runs/bucket-prefix-01234567/{RUN.name}")
    assert found.usual_prefix == RUN.prefix
    assert find(RUN.name, str(tmp_path / "cache"))[1] == [found]
    (found,) = find_at(str(kept / RUN.name))[1]
    assert (found.name, found.prefix) == (RUN.name, "")


def test_a_store_that_is_no_folder_has_names_too() -> None:
    store = MemoryStore()
    store.write("runs/one/run.json", b"{}")
    assert find_named("one", store) == Holding(kind="run", name="one", prefix="runs/one")
