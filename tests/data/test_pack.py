"""The pack verb: complete, repeatable, and able to go on wherever it was stopped."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ten.data import encoder_choice, pack_threads
from ten.data.cache import ShardCache
from ten.data.manifest import ShardEntry
from ten.data.pack import pack_all
from ten.data.packing import pack_unit
from ten.data.recipe import Recipe
from ten.data.shards import open_shard
from ten.errors import DataError
from ten.store.local import LocalStore
from ten.text.bpe import train_bpe
from ten.text.units import Unit
from ten.units import format_bytes
from tests.data.small import (
    jsonl,
    kill,
    make_texts,
    pack_into,
    recipe_of,
    run_python,
    small_tokenizer,
    wait_until,
    write_jsonl,
    write_parquet,
)

ROOT = str(Path(__file__).parents[2])


def files_of(cache: ShardCache) -> dict[str, bytes]:
    return {
        str(path.relative_to(cache.folder)): path.read_bytes() for path in cache.folder.rglob("*") if path.is_file()
    }


def test_a_pack_is_shards_tokenizer_and_manifest(packed: ShardCache) -> None:
    names = {f"shards/{unit.index:05d}.safetensors" for unit in packed.recipe.units}
    assert set(files_of(packed)) == names | {"tokenizer.json", "manifest.json"}


def test_the_manifest_is_written_last(cache: ShardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = LocalStore.write

    def write_and_tell(store: LocalStore, key: str, data: bytes) -> None:
        written.append(key)
        assert len(list(cache.folder.glob("shards/*"))) == len(cache.recipe.units)
        write(store, key, data)

    monkeypatch.setattr(LocalStore, "write", write_and_tell)
    pack_into(cache)
    assert [key.rpartition("/")[2] for key in written] == ["tokenizer.json", "manifest.json"]


PACK = """
import sys, msgspec
from pathlib import Path
from ten.data.cache import ShardCache
from ten.data.pack import pack_all
from ten.data.recipe import Recipe
from ten.store.local import LocalStore
recipe = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Recipe)
pack_all(ShardCache(LocalStore(Path(sys.argv[2])), recipe), threads=int(sys.argv[3]), engine=sys.argv[4])
"""


def test_any_process_thread_count_and_engine_makes_the_same_bytes(packed: ShardCache, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_bytes(msgspec.json.encode(packed.recipe))
    for number, threads, engine in [("1", "4", "auto"), ("2", "1", "tiktoken")]:
        run_python(PACK, str(tmp_path / "recipe.json"), str(tmp_path / number), threads, engine, PYTHONHASHSEED=number)
        other = ShardCache(LocalStore(tmp_path / number), packed.recipe)
        assert files_of(other) == files_of(packed)


def test_packing_again_does_nothing(packed: ShardCache) -> None:
    before = files_of(packed)
    again = pack_into(packed)
    assert (again.packed, again.engine) == (0, "none")
    assert files_of(packed) == before


def test_force_packs_everything_anew(packed: ShardCache) -> None:
    before = files_of(packed)
    shard = packed.folder / "shards" / "00001.safetensors"
    os.utime(shard, (0, 0))
    assert pack_into(packed, force=True).packed == len(packed.recipe.units)
    assert shard.stat().st_mtime > 0
    assert files_of(packed) == before


def test_only_what_is_missing_is_packed(packed: ShardCache) -> None:
    before = files_of(packed)
    for unit in (0, 3):
        (packed.folder / "shards" / f"{unit:05d}.safetensors").unlink()
    assert pack_into(ShardCache(packed.pack.store, packed.recipe)).packed == 2
    assert files_of(packed) == before


def test_a_damaged_shard_is_put_aside_and_made_anew(packed: ShardCache, caplog: pytest.LogCaptureFixture) -> None:
    before = files_of(packed)
    path = packed.folder / "shards" / "00002.safetensors"
    damaged = before["shards/00002.safetensors"][:-1]
    path.write_bytes(damaged)
    with caplog.at_level(logging.WARNING, logger="ten"):
        assert pack_into(ShardCache(packed.pack.store, packed.recipe)).packed == 1
    after = files_of(packed)
    (aside,) = after.keys() - before.keys()
    assert aside.startswith("damaged/00002-") and after.pop(aside) == damaged
    assert after == before
    assert "00002.safetensors is damaged and put aside as" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 99}'])
def test_a_damaged_manifest_is_written_anew(packed: ShardCache, damage: bytes) -> None:
    before = files_of(packed)
    (packed.folder / "manifest.json").write_bytes(damage)
    assert pack_into(packed).packed == 0
    assert files_of(packed) == before


def test_a_manifest_that_lists_other_shards_is_written_anew(packed: ShardCache) -> None:
    before = files_of(packed)
    manifest = packed.manifest()
    assert manifest is not None
    entry = msgspec.structs.replace(manifest.shards[0], sha256="0" * 64)
    packed.pack.publish(msgspec.structs.replace(manifest, shards=(entry, *manifest.shards[1:])))
    pack_into(packed)
    assert files_of(packed) == before


def test_while_packing_there_is_no_manifest(packed: ShardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(recipe: Recipe, *rest: object, **options: object) -> bytes:
        assert packed.manifest() is None
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_threads, "pack_unit", check)
    with pytest.raises(KeyboardInterrupt):
        pack_into(packed, force=True)
    assert packed.manifest() is None
    monkeypatch.setattr(pack_threads, "pack_unit", pack_unit)
    assert pack_into(packed).packed == 0
    assert packed.manifest() is not None


def test_the_first_bad_record_ends_packing_and_what_is_whole_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(make_texts(1200)) + b"{broken\n")
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(path))
    with pytest.raises(DataError, match=r"a\.jsonl: line \d+ \(at byte \d+\) is no record with a text"):
        pack_into(cache)
    assert cache.manifest() is None
    assert len(files_of(cache)) == len(cache.recipe.units) - 1


def test_engines_prove_themselves_on_a_bounded_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(write_jsonl(tmp_path / "long.jsonl", ["short", "long " * 100_000]))
    sample: list[str] = []
    monkeypatch.setattr(encoder_choice, "choose_encoder", lambda _, texts, __: sample.extend(texts))
    encoder_choice.open_encoder(recipe, recipe.units[0])
    assert sum(map(len, sample)) == 2**17


def test_notes_of_the_engines_are_told(
    cache: ShardCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ten.text.engines import ENGINES

    def refuse(_: object) -> None:
        raise ImportError("not built for this machine")

    monkeypatch.setitem(ENGINES, "gigatoken", refuse)
    with caplog.at_level(logging.INFO, logger="ten"):
        assert pack_all(cache).engine == "fastokens"
    assert "gigatoken cannot read tokenizer small: not built for this machine" in caplog.text


def test_force_goes_on_with_nothing_that_was_left(packed: ShardCache) -> None:
    left = packed.folder / "growing" / "00001.journal"
    left.parent.mkdir()
    left.write_bytes(b"left")
    pack_into(packed, force=True)
    assert not left.exists()


@pytest.mark.parametrize("times", [1, 99])
def test_a_shard_that_is_deleted_meanwhile_is_made_again(
    cache: ShardCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    add = ShardCache.add
    deleted: list[int] = []

    def add_and_lose(self: ShardCache, unit: int, data: bytes) -> ShardEntry:
        entry = add(self, unit, data)
        if unit == 1 and len(deleted) < times:
            deleted.append(unit)
            self.evict(unit)
        return entry

    monkeypatch.setattr(ShardCache, "add", add_and_lose)
    if times > 1:
        with pytest.raises(DataError, match="1 shard, such as number 1, deleted while others were packed"):
            pack_into(cache)
        assert cache.manifest() is None
        return
    assert pack_into(cache).packed == len(cache.recipe.units) + 1
    assert cache.has(1) and cache.manifest() is not None
    assert "deleted while others were packed: 1 shard" in caplog.text


def test_it_says_what_is_packed_and_how_far_it_was_when_it_is_stopped(
    cache: ShardCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    units = len(cache.recipe.units)

    def stop_at_two(recipe: Recipe, unit: Unit, *rest: Any) -> bytes:
        if unit.index == 2:
            raise KeyboardInterrupt
        return pack_unit(recipe, unit, *rest)

    monkeypatch.setattr(pack_threads, "pack_unit", stop_at_two)
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyboardInterrupt):
        pack_into(cache)
    assert f"1 file, {format_bytes(cache.recipe.corpus.bytes)}; {units} shards to make, 0 already there" in caplog.text
    assert f"2 of {units} shards are packed" in caplog.text


SLOW_PACK = """
import sys, time
from ten.text import jsonl
parse = jsonl._parse
def slow(*arguments):
    time.sleep(0.002)
    return parse(*arguments)
jsonl._parse = slow
from ten.cli import main
sys.exit(main(sys.argv[1:]))
"""


def ten_pack(corpus: Path, tokenizer: Path, store: Path, *more: str) -> "subprocess.Popen[str]":
    command = [
        "pack", "--set", f"data.dataset={corpus}", "--set", f"data.tokenizer={tokenizer}", "--set", f"store={store}",
        "--set", "data.engine=tokenizers", *more,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_PACK, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shards_in(store: Path) -> dict[str, tuple[int, int]]:
    """Name, inode and time of every shard."""
    found = sorted(store.glob("packs/*/shards/[0-9]*.safetensors"))
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, its tokenizer, and a store with its whole pack."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_jsonl(folder / "tales.jsonl", make_texts(350, words=1200))
    (folder / "tokenizer.json").write_text(small_tokenizer().definition)
    process = ten_pack(folder / "tales.jsonl", folder / "tokenizer.json", folder / "store")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return folder


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_pack_goes_on_where_it_was(undisturbed: Path, tmp_path: Path, after: int) -> None:
    corpus, tokenizer = undisturbed / "tales.jsonl", undisturbed / "tokenizer.json"
    process = ten_pack(corpus, tokenizer, tmp_path)
    wait_until(
        lambda: ((tmp_path / "packs").exists() and len(shards_in(tmp_path)) >= after) or process.poll() is not None
    )
    kill(process.pid)
    process.communicate()
    finished = shards_in(tmp_path)
    assert not list(tmp_path.glob("packs/*/manifest.json"))
    for path in tmp_path.glob("packs/*/shards/[0-9]*.safetensors"):
        open_shard(path)
    again = ten_pack(corpus, tokenizer, tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    everything = shards_in(tmp_path)
    assert after <= len(finished) < len(everything)
    assert f"{len(everything) - len(finished)} of {len(everything)} shards made now" in out
    assert {name: everything[name] for name in finished} == finished
    (whole,) = (undisturbed / "store").glob("packs/*")
    for path in whole.rglob("*.*"):
        assert (tmp_path / "packs" / whole.name / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_parquet_is_packed_without_the_libraries_that_take_seconds_to_import(tmp_path: Path) -> None:
    corpus, tokenizer = write_parquet(tmp_path / "a.parquet", make_texts(50)), tmp_path / "tokenizer.json"
    tokenizer.write_text(json.dumps(train_bpe(make_texts(200, seed=1), 400)))
    code = """
import sys
for name in ("torch", "transformers", "datasets", "huggingface_hub", "pandas"):
    sys.modules[name] = None  # importing it raises from now on
from ten.cli import main
sys.exit(main(sys.argv[1:]))
"""
    words = ["pack", "--dataset", str(corpus), "--tokenizer", str(tokenizer), "--store", str(tmp_path / "store")]
    assert "packed" in run_python(code, *words, PYTHONPATH=ROOT)
