"""Where a job's things lie."""

from pathlib import Path

import pytest

from ten.dataset import place as place_module
from ten.dataset.place import Place
from ten.job import load_job
from ten.store.memory import MemoryStore


def _place(store: str, *sets: str) -> Place:
    return Place(load_job(None, {"store": store}, sets))


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache folder of the developer's own."""
    monkeypatch.delenv("TEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a store that is no folder."""
    monkeypatch.setattr(place_module, "open_store", lambda address: MemoryStore())
    return "s3://bucket/prefix"


def test_a_folder_is_its_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _place(str(tmp_path))
    assert (place.is_remote, place.cache_dir, place.shard_folder) == (False, tmp_path / "cache", None)
    monkeypatch.setenv("TEN_CACHE_DIR", "/elsewhere")
    assert (place.cache_dir, place.shard_folder) == (Path("/elsewhere"), None)
    named = _place(str(tmp_path), "data.cache_dir=~/mine")
    assert named.cache_dir == named.shard_folder == Path("~/mine").expanduser()


def test_in_front_of_an_object_store_is_a_folder(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _place(remote)
    assert place.is_remote
    assert place.cache_dir == place.shard_folder == Path("~/.cache/ten").expanduser()
    monkeypatch.setenv("TEN_CACHE_DIR", "/elsewhere")
    assert place.cache_dir == place.shard_folder == Path("/elsewhere")
    assert _place(remote, "data.cache_dir=/named").cache_dir == Path("/named")


def test_the_first_process_of_a_machine_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _place(str(tmp_path))
    assert place.leads
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not place.leads
