"""Opening a store by its address."""

import subprocess
import sys
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


@pytest.mark.parametrize(
    ("address", "cure"),
    [
        ("s3a://bucket/x", "did you mean 's3'"),
        ("s3:/bucket/x", "s3://bucket/prefix"),
        ("s3:bucket", "s3://bucket/prefix"),
        ("https://nyc3.digitaloceanspaces.com/bucket", "SPACES_ENDPOINT"),
        ("https://key:very-secret@host/bucket", "SPACES_ENDPOINT"),
    ],
)
def test_an_address_that_is_nearly_one_is_told_how_to_be_one(address: str, cure: str) -> None:
    with pytest.raises(SpecError, match=cure) as caught:
        open_store(address)
    assert "very-secret" not in str(caught.value)


def test_a_folder_needs_no_client_of_object_stores() -> None:
    program = "import sys; from ten.store.opening import open_store; open_store('x'); print('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
