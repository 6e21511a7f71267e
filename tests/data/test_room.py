"""Room on the disk: what is evicted, what never, and when there is too little of it."""

import shutil
import tempfile
from collections.abc import Iterator
from functools import cache as cached
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.fill import Fill, FollowingFill, PretokFill, StreamingFill
from ten.data.loader import BatchShape, Loader
from ten.data.order import era_units
from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
from ten.data.recipe import Recipe
from ten.data.room import Room, cache_limit_bytes, eras_from, limit_beside
from ten.data.split import Split
from ten.errors import DiskFull
from ten.store.local import LocalStore
from ten.text.units import Part, Unit
from tests.data.small import make_texts, pack_into, recipe_of, start_of, write_jsonl

SHARD = 1000
ROWS, TOKENS = 4, 100
"""Rows in a shard of the simulated pack, tokens in a row: 800 of its 1000 bytes."""
Era = tuple[int, int]


def recipe_with(recipe: Recipe, units: int) -> Recipe:
    """A recipe of so many units whose shards are expected to take `SHARD` bytes each."""
    file = msgspec.structs.replace(recipe.corpus.files[0], bytes=2 * SHARD * units)
    return msgspec.structs.replace(
        recipe,
        corpus=msgspec.structs.replace(recipe.corpus, files=(file,)),
        units=tuple(Unit(index=n, parts=(Part(file=0, part=n, parts=units),)) for n in range(units)),
        split=Split(),
    )


def put(cache: ShardCache, unit: int) -> None:
    """A file as large as a shard: room looks no further."""
    path = cache.folder / "shards" / f"{unit:05d}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(SHARD))


def cache_of(recipe: Recipe, folder: Path, units: int) -> ShardCache:
    return ShardCache(LocalStore(folder), recipe_with(recipe, units))


class Race:
    """A trainer, its loader `lead` steps ahead, and a packer that lags behind, over shards that are empty files."""

    def __init__(self, cache: ShardCache, limit: int, *, seed: int, step_rows: int, lead: int, lag: int) -> None:
        self.cache, self.room = cache, Room(cache, limit * SHARD)
        self.seed, self.step_rows, self.lead, self.lag = seed, step_rows, lead, lag
        self.units = len(cache.recipe.units)
        self.reader: Era | None = None
        self.queue: list[int] = []
        self.peak = self.evicted = 0

    @cached  # noqa: B019 - as short-lived as the test
    def units_of(self, era: Era) -> list[int]:
        return era_units(self.seed, *era, self.units)

    def after(self, era: Era) -> Era:
        following = era[0], era[1] + 1
        return following if self.units_of(following) else (era[0] + 1, 0)

    def between(self, first: Era, last: Era) -> set[int]:
        units = set(self.units_of(first))
        while first < last:
            first = self.after(first)
            units.update(self.units_of(first))
        return units

    def steps(self, epochs: int) -> list[Cursor]:
        cursor = Cursor(fingerprint="f", seed=self.seed, seq_len=TOKENS)
        places = list(islice(self._places(), epochs * self.units * ROWS))
        found = []
        for last in range(self.step_rows - 1, len(places), self.step_rows):
            epoch, era, row = places[last]
            found.append(cursor := cursor.moved(epoch=epoch, era=era, row_in_era=row, rows=self.step_rows))
        return found

    def run(self, epochs: int) -> None:
        steps = self.steps(epochs)
        for number, cursor in enumerate(steps):
            ahead = steps[min(number + self.lead, len(steps) - 1)]
            self.read_to((ahead.epoch, ahead.era))
            while len(self.queue) > self.lag:
                put(self.cache, self.queue.pop(0))
            before = self.cache.present()
            self.queue += [unit for unit in self.room.passed(cursor) if unit not in before]
            self.check(cursor, set(before), set(self.cache.present()))

    def read_to(self, era: Era) -> None:
        """As the reader does: the era and the next are wanted, then the era's shards are opened one by one."""
        while self.reader is None or self.reader < era:
            self.reader = (0, 0) if self.reader is None else self.after(self.reader)
            wanted = self.units_of(self.reader) + self.units_of(self.after(self.reader))
            self.queue += [unit for unit in self.room.admit(wanted) if self.cache.size(unit) is None]
            for unit in self.units_of(self.reader):
                if self.cache.size(unit) is None:
                    self.room.insist(unit)
                    put(self.cache, unit)
                    self.queue = [other for other in self.queue if other != unit]

    def check(self, cursor: Cursor, before: set[int], after: set[int]) -> None:
        assert self.reader is not None
        here, gone = (cursor.epoch, cursor.era), before - after
        assert after >= self.between(here, max(here, self.reader)), "a loader of another rank may still read these"
        assert not gone & self.between(here, self.after(max(here, self.reader)))
        assert gone <= {unit for era in range(cursor.era) for unit in self.units_of((cursor.epoch, era))}
        self.peak, self.evicted = max(self.peak, len(before)), self.evicted + len(gone)

    def _places(self) -> Iterator[tuple[int, int, int]]:
        era = (0, 0)
        while True:
            for row in range(len(self.units_of(era)) * ROWS):
                yield *era, row + 1
            era = self.after(era)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    units=st.integers(1, 60), seed=st.integers(0, 99), limit=st.integers(24, 60), epochs=st.integers(1, 2),
    step_rows=st.integers(1, 40), lead=st.integers(0, 5), lag=st.integers(0, 9),
)  # fmt: skip
def test_nothing_goes_that_a_loader_may_still_read(
    recipe: Recipe, units: int, seed: int, limit: int, epochs: int, step_rows: int, lead: int, lag: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        race = Race(
            cache_of(recipe, Path(folder), units), limit, seed=seed, step_rows=step_rows, lead=lead, lag=lag
        )  # fmt: skip
        race.run(epochs)
        if units <= limit:
            assert not race.evicted
        elif step_rows <= 4:
            assert race.peak <= limit


def test_the_limit_holds_through_epochs_and_shards_that_fit_are_not_made_again(recipe: Recipe, tmp_path: Path) -> None:
    race = Race(cache_of(recipe, tmp_path, 100), 40, seed=1, step_rows=4, lead=4, lag=3)
    race.run(3)
    assert race.peak <= 40
    assert 3 * 60 > race.evicted - 60 > 60


def test_the_eras_after_a_cursor_go_on_into_the_next_epoch() -> None:
    cursor = Cursor(fingerprint="f", seed=3, seq_len=8, era=1)
    expected = [era_units(3, epoch, era, 10) for epoch, era in ((0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0))]
    assert list(islice(eras_from(cursor, 10), 6)) == expected


def test_the_limit_is_what_the_disk_has_beside_two_checkpoints(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limit_beside(1000, 50, 400) == 900 + 50 - 400
    assert limit_beside(1000, 0, 1000) == 0
    cache = cache_of(recipe, tmp_path, 9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(path))
    assert cache_limit_bytes(cache.folder, None, 2000) == 90_000 - 2000
    put(cache, 4)
    (cache.folder / "shards" / ".tmp-1").write_bytes(bytes(5000))
    (cache.folder / "shards" / "notes.safetensors").write_bytes(bytes(5000))
    assert cache_limit_bytes(cache.folder, None, 2000) == 90_000 + SHARD - 2000
    assert cache_limit_bytes(cache.folder, 77, 1000) == 77


class _Usage:
    def __init__(self, path: Path) -> None:
        assert path.is_dir()
        self.free = 100_000


def test_too_little_room_for_three_eras_is_said_at_once(recipe: Recipe, tmp_path: Path) -> None:
    Room(cache_of(recipe, tmp_path, 40), 24 * SHARD)
    with pytest.raises(DiskFull, match=r"24 shards of .* some 23\.4 KiB, and the limit is 23\.4 KiB.*data\.cache_dir"):
        Room(cache_of(recipe, tmp_path, 40), 24 * SHARD - 1)
    with pytest.raises(DiskFull, match="limit is 0 B"):
        Room(cache_of(recipe, tmp_path, 1), 0)


def test_a_pack_that_fits_or_is_there_never_complains(recipe: Recipe, tmp_path: Path) -> None:
    Room(cache_of(recipe, tmp_path, 9), 9 * SHARD)
    there = cache_of(recipe, tmp_path / "there", 30)
    for unit in range(30):
        put(there, unit)
    Room(there, 0)


def test_shards_that_are_larger_than_expected_count_as_what_they_are(recipe: Recipe, tmp_path: Path) -> None:
    cache = cache_of(recipe, tmp_path, 60)
    put(cache, 3)
    with (cache.folder / "shards" / "00003.safetensors").open("ab") as file:
        file.write(bytes(SHARD))
    with pytest.raises(DiskFull, match="some 46"):
        Room(cache, 20 * SHARD)


def test_a_finished_pack_in_its_own_store_is_never_evicted_from(packed: ShardCache, tmp_path: Path) -> None:
    before = packed.present()
    room = Room(packed, 1)
    for cursor in _cursors(len(before)):
        assert not room.passed(cursor)
    assert packed.present() == before
    front = ShardCache(packed.pack.store, packed.recipe, tmp_path / "front")
    for unit in before:
        assert front.find(unit)
    room = Room(front, 1)
    for cursor in _cursors(len(before)):
        room.passed(cursor)
    assert len(front.present()) < len(before) == len(packed.present())


def test_a_pack_that_is_finished_meanwhile_is_not_evicted_from(recipe: Recipe, tmp_path: Path) -> None:
    cache = cache_of(recipe, tmp_path, 60)
    for unit in range(60):
        put(cache, unit)
    room = Room(cache, 24 * SHARD)
    (cache.folder / "manifest.json").write_bytes(b"{}")
    for cursor in _cursors(60):
        assert not room.passed(cursor)
    assert len(cache.present()) == 60


def _cursors(units: int) -> Iterator[Cursor]:
    cursor = Cursor(fingerprint="f", seed=0, seq_len=TOKENS)
    era = 0
    while era_units(0, 0, era, units):
        for row in range(9):
            yield (cursor := cursor.moved(epoch=0, era=era, row_in_era=row, rows=1))
        era += 1


def test_with_a_tiny_limit_two_ranks_see_the_rows_they_would_see_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ten.text.units.MAX_UNIT_TEXT_BYTES", 4096)
    recipe = recipe_of(write_jsonl(tmp_path / "a.jsonl", make_texts(1200)))
    whole = ShardCache(LocalStore(tmp_path / "whole"), recipe)
    pack_into(whole)
    sizes = whole.present()
    limit = 36 * max(sizes.values())
    assert limit < 0.8 * sum(sizes.values())
    small = ShardCache(LocalStore(tmp_path / "small"), recipe)
    packer = Packer(PackerOrder(recipe=recipe, store=str(tmp_path / "small"), engine="tokenizers"))
    fills: tuple[Fill, ...] = (
        StreamingFill(small, packer, Room(small, limit)),
        FollowingFill(ShardCache(LocalStore(tmp_path / "small"), recipe)),
        PretokFill(whole, ""),
        PretokFill(whole, ""),
    )
    shapes = [BatchShape(micro_batch_rows=16, micro_batches=1, rank=rank, ranks=2) for rank in (0, 1)]
    loaders = [Loader(recipe, fill, start_of(recipe), shapes[n % 2]) for n, fill in enumerate(fills)]
    peak, everything, epoch = 0, set[int](), 0
    try:
        while epoch < 2:
            streamed, followed, *expected = (next(loader) for loader in loaders)
            assert [streamed.row_digests, followed.row_digests] == [batch.row_digests for batch in expected]
            there = small.present()
            peak, everything, epoch = max(peak, sum(there.values())), everything | set(there), streamed.cursor.epoch
    finally:
        for loader in loaders:
            loader.close()
    assert everything == set(sizes)
    assert peak <= limit
