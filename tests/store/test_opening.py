"""Opening a store by its address."""

from pathlib import Path

import pytest

from ten.errors import SpecError
from ten.store.local import LocalStore
from ten.store.opening import open_store


def test_a_folder_is_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("here")
    assert isinstance(store, LocalStore)
    assert store.url == str(tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("address", ["", "  ", "ftp://host/path"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SpecError, match=r"store.*give a folder"):
        open_store(address)
