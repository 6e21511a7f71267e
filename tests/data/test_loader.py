"""The loader's thread: same rows, errors to the caller, an end on demand."""

import threading
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.fill import FollowingFill, PretokFill, StreamingFill
from ten.data.loader import BatchShape, Loader, step_batches
from ten.data.order import era_units
from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
from ten.data.reader import read_rows
from ten.data.recipe import Recipe
from ten.data.rows import row_digest
from ten.data.shards import Shard
from ten.errors import DataError, MissingInput, ServiceUnavailable
from ten.store.memory import MemoryStore
from tests.data.small import is_alive, make_texts, pack_into, recipe_of, start_of, wait_until, write_jsonl

SHAPE = BatchShape(micro_batch_rows=3, micro_batches=2)


class BrokenFill(PretokFill):
    """Fails at the n-th shard."""

    def __init__(self, cache: ShardCache, good: int, error: BaseException) -> None:
        super().__init__(cache, "")
        self._good, self._error = good, error

    def shard(self, unit: int) -> Shard:
        if self._good == 0:
            raise self._error
        self._good -= 1
        return super().shard(unit)


class Prompter(PretokFill):
    """Remembers what was wanted."""

    def __init__(self, cache: ShardCache) -> None:
        super().__init__(cache, "")
        self.wanted: list[list[int]] = []
        self.trained: list[Cursor] = []

    def want(self, units: Sequence[int]) -> None:
        self.wanted.append(list(units))

    def passed(self, cursor: Cursor) -> None:
        self.trained.append(cursor)


def test_batches_are_the_readers_rows(packed: ShardCache) -> None:
    cursor = start_of(packed.recipe)
    rows = list(islice(read_rows(packed.recipe, PretokFill(packed, ""), cursor), 60))
    loader = Loader(packed.recipe, PretokFill(packed, ""), cursor, SHAPE)
    try:
        for step in range(10):
            batch = next(loader)
            mine = rows[6 * step : 6 * step + 6]
            tokens = torch.cat([micro.tokens for micro in batch.micro_batches])
            starts = torch.cat([micro.starts for micro in batch.micro_batches])
            assert (tokens.dtype, tokens.shape, starts.dtype, starts.shape) == (
                torch.int64,
                (6, 17),
                torch.bool,
                (6, 16),
            )
            assert tokens.numpy().tolist() == [row.tokens.tolist() for row in mine]
            assert starts.numpy().tolist() == [row.starts().tolist() for row in mine]
            assert batch.row_digests == tuple(row_digest(row.tokens) for row in mine)
            assert (batch.cursor.rows, batch.cursor.tokens) == (6 * step + 6, (6 * step + 6) * 16)
            assert (batch.cursor.epoch, batch.cursor.era, batch.cursor.row_in_era) == mine[-1][3:]
    finally:
        loader.close()


def test_a_loader_from_a_cursor_goes_on_with_the_next_step(packed: ShardCache) -> None:
    steps = list(islice(step_batches(packed.recipe, PretokFill(packed, ""), start_of(packed.recipe), SHAPE), 60))
    for at in (0, 7, 30, 50):
        loader = Loader(packed.recipe, PretokFill(packed, ""), steps[at].cursor, SHAPE)
        try:
            again = next(loader)
        finally:
            loader.close()
        assert (again.row_digests, again.cursor) == (steps[at + 1].row_digests, steps[at + 1].cursor)


def test_rows_are_one_long_text_where_the_carry_is_kept(packed: ShardCache) -> None:
    shape = BatchShape(micro_batch_rows=4, micro_batches=1, reset_carry=False)
    plain, reset = (
        next(step_batches(packed.recipe, PretokFill(packed, ""), start_of(packed.recipe), one))
        for one in (shape, BatchShape(micro_batch_rows=4, micro_batches=1))
    )
    assert not plain.micro_batches[0].starts.any() and reset.micro_batches[0].starts.any()
    assert torch.equal(plain.micro_batches[0].tokens, reset.micro_batches[0].tokens)


def test_units_are_wanted_before_they_are_read(packed: ShardCache) -> None:
    fill = Prompter(packed)
    rows = list(islice(read_rows(packed.recipe, fill, start_of(packed.recipe)), 1200))
    units = packed.recipe.training_units
    assert {row.epoch for row in rows} >= {0, 1}
    assert len(fill.wanted[0]) == 2 and len(fill.wanted[1]) == 6
    assert set().union(*fill.wanted, era_units(0, 0, 0, units)) == set(range(units))


def test_a_step_has_passed_when_the_next_is_asked_for(packed: ShardCache) -> None:
    fill = Prompter(packed)
    loader = Loader(packed.recipe, fill, start_of(packed.recipe), SHAPE)
    given: list[Cursor] = []
    try:
        for _ in range(12):
            batch = next(loader)
            assert fill.trained == given
            given.append(batch.cursor)
    finally:
        loader.close()
    assert fill.trained == given[:-1]


@pytest.mark.parametrize("good", [0, 2])
@pytest.mark.parametrize("error", [DataError("bad shard"), MissingInput("no shard"), ZeroDivisionError("a bug")])
def test_an_error_in_the_thread_is_raised_to_the_caller(packed: ShardCache, good: int, error: Exception) -> None:
    loader = Loader(packed.recipe, BrokenFill(packed, good, error), start_of(packed.recipe), SHAPE)
    try:
        with pytest.raises(type(error), match=str(error)):
            list(loader)
        with pytest.raises(ServiceUnavailable, match="loader's thread has ended"):
            next(loader)
    finally:
        loader.close()


class LateFill(PretokFill):
    """Gives its first shard when it is let go."""

    def __init__(self, cache: ShardCache) -> None:
        super().__init__(cache, "")
        self.go = threading.Event()

    def shard(self, unit: int) -> Shard:
        self.go.wait()
        return super().shard(unit)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_long_wait_for_rows_is_told_with_its_reason_by_one_rank(
    packed: ShardCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rank: int
) -> None:
    monkeypatch.setattr("ten.data.waiting._FIRST_S", 0.5)
    fill = LateFill(packed)
    timer = threading.Timer(1.5, fill.go.set)
    timer.start()
    shape = BatchShape(micro_batch_rows=3, micro_batches=2, rank=rank, ranks=2)
    loader = Loader(packed.recipe, fill, start_of(packed.recipe), shape)
    try:
        next(loader)
    finally:
        fill.go.set()
        loader.close()
        timer.join()
    expected = [f"waited 1 s for the first rows: a shard is read from {packed.address}"]
    assert [record.getMessage() for record in caplog.records] == expected[: 1 - rank]


def test_a_corpus_shorter_than_a_row_is_raised_to_the_caller(packed: ShardCache) -> None:
    loader = Loader(packed.recipe, PretokFill(packed, ""), start_of(packed.recipe, 10**6), SHAPE)
    try:
        with pytest.raises(DataError, match=r"data\.seq_len"):
            next(loader)
    finally:
        loader.close()


def test_the_thread_prepares_no_more_than_it_is_told(packed: ShardCache) -> None:
    before = threading.active_count()
    loader = Loader(packed.recipe, PretokFill(packed, ""), start_of(packed.recipe), SHAPE, ahead=2)
    wait_until(loader._ready.full)
    assert loader._ready.qsize() == 2 and threading.active_count() == before + 1
    loader.close()
    assert threading.active_count() == before
    loader.close()
    with pytest.raises(ServiceUnavailable, match="was the loader closed"):
        next(loader)


@pytest.mark.parametrize("steps", [0, 1, 40])
def test_closing_ends_thread_and_packer_in_the_middle_of_a_stream(tmp_path: Path, steps: int) -> None:
    from ten.store.local import LocalStore

    recipe = recipe_of(write_jsonl(tmp_path / "a.jsonl", make_texts(3000)))
    cache = ShardCache(LocalStore(tmp_path), recipe)
    packer = Packer(PackerOrder(recipe=recipe, store=str(tmp_path), engine="tokenizers"))
    loader = Loader(recipe, StreamingFill(cache, packer), start_of(recipe), SHAPE)
    for _ in range(steps):
        next(loader)
    begin = time.monotonic()
    loader.close()
    assert time.monotonic() - begin < 5
    assert not loader._thread.is_alive() and not is_alive(packer._process.pid)


def test_closing_ends_a_loader_that_waits_for_another_rank(recipe: Recipe, tmp_path: Path) -> None:
    loader = Loader(recipe, FollowingFill(ShardCache(MemoryStore(), recipe, tmp_path)), start_of(recipe), SHAPE)
    begin = time.monotonic()
    loader.close()
    assert time.monotonic() - begin < 5
    assert not loader._thread.is_alive()


def test_tokens_of_any_width_become_the_same_tensor(corpus_path: Path, tmp_path: Path) -> None:
    import msgspec

    from ten.store.local import LocalStore

    recipe = recipe_of(corpus_path)
    wide = msgspec.structs.replace(
        recipe, tokenizer=msgspec.structs.replace(recipe.tokenizer, vocabulary=70_000), fingerprint="w" * 64
    )
    tensors = []
    for one in (recipe, wide):
        cache = ShardCache(LocalStore(tmp_path), one)
        pack_into(cache)
        shard = cache.find(0)
        assert shard is not None
        assert shard.tokens.dtype == (np.uint16 if one is recipe else np.uint32)
        tensors.append(next(step_batches(one, PretokFill(cache, ""), start_of(one), SHAPE)).micro_batches[0].tokens)
    assert torch.equal(tensors[0], tensors[1])
