"""verify, push and pull as they are typed."""

import json
from pathlib import Path
from shutil import copytree

import pytest

from ten.cli import main
from ten.store.local import LocalStore
from tests.data.small import small_tokenizer
from tests.holdings.stores import flip, objects

SHARD = "shards/00000.safetensors"


@pytest.fixture(scope="module")
def packed(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one pack."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "tokenizer.json").write_text(small_tokenizer().definition)
    words = ["--store", folder / "near", "--dataset", corpus_path, "--tokenizer", folder / "tokenizer.json"]
    assert main(["pack", *map(str, words), "--set", "data.end_of_document=<|endoftext|>"]) == 0
    return folder / "near"


@pytest.fixture
def near(packed: Path, tmp_path: Path) -> str:
    """A copy of it that a test may damage."""
    return str(copytree(packed, tmp_path / "near"))


@pytest.fixture
def far(tmp_path: Path) -> str:
    """Another store."""
    return str(tmp_path / "far")


@pytest.fixture
def name(packed: Path) -> str:
    """The pack's."""
    (found,) = (packed / "packs").iterdir()
    return found.name


def test_push_and_pull_say_what_was_moved_and_what_was_there(
    near: str, far: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", name, far, "--store", near]) == 0
    assert f"pack {name}: 4 objects (" in capsys.readouterr().out
    assert main(["push", f"{near}/packs/{name}", far]) == 0
    assert "0 objects (0 B) moved" in capsys.readouterr().out
    for words in (["pull", name, far], ["pull", f"{far}/packs/{name}"], ["pull", far]):
        home = tmp_path / "-".join(words).replace("/", "-")[-90:]
        assert main([*words, "--store", str(home), "--json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)
        assert (said["name"], said["moved"], said["there"]) == (name, 4, 0)
        assert objects(LocalStore(home), "packs/") == objects(LocalStore(Path(near)), "packs/")


def test_pull_asks_for_the_store_it_cannot_know(near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "no-such-pack", "--store", near]) == 78
    assert "from which store? `ten pull no-such-pack s3://bucket/prefix`" in capsys.readouterr().err


def test_a_damaged_pack_is_not_pushed_whole(near: str, far: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    flip(LocalStore(Path(near)), f"packs/{name}/{SHARD}")
    assert main(["push", name, far, "--store", near]) == 65
    said = capsys.readouterr().out
    assert f"{SHARD}" in said
    assert f"`ten verify packs/{name} --store {near} --repair`" in said


def test_verify_names_damage_and_repairs_from_the_store_that_is_given(
    near: str, far: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", name, far, "--store", near]) == 0
    flip(LocalStore(Path(near)), f"packs/{name}/{SHARD}")
    capsys.readouterr()
    assert main(["verify", "--store", near]) == 65
    assert f"damaged shard: {near}/packs/{name}/{SHARD}" in capsys.readouterr().out
    assert main(["verify", near, "--store", far, "--repair"]) == 0
    assert f"replaced by the sound copy {far}/packs/{name}/{SHARD}" in capsys.readouterr().out
    assert main(["verify", near, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["damaged"], said["repairs"], said["checked"]) == ([], [], 3)


def test_a_damaged_store_is_mended_from_the_cache(
    near: str, far: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", name, far, "--store", near]) == 0
    flip(LocalStore(Path(far)), f"packs/{name}/{SHARD}")
    words = ["verify", name, "--store", far, "--repair", "--json"]
    assert main([*words, "--cache-dir", near]) == 0
    (done,) = json.loads(capsys.readouterr().out.partition("\n")[2])["repairs"]
    assert done["mended"]


def test_without_a_sound_copy_damage_stays_and_is_said(
    near: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(LocalStore(Path(near)), f"packs/{name}/{SHARD}")
    words = ["verify", name, "--store", near, "--repair", "--cache-dir", str(tmp_path / "none")]
    assert main(words) == 65
    said = capsys.readouterr().out
    assert "put aside as" in said
    assert "`ten pack` with the same settings makes it anew" in said
