"""The global row sequence: complete, resumable anywhere, the same for any number of ranks."""

import hashlib
import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ten.data.cache import ShardCache
from ten.data.cursor import Cursor
from ten.data.fill import PretokFill
from ten.data.loader import BatchShape, StepBatch, step_batches
from ten.data.order import is_sequential
from ten.data.reader import Row, read_rows
from ten.data.recipe import Recipe
from ten.data.rows import row_count, rows_sha256
from ten.errors import DataError
from ten.store.local import LocalStore
from tests.data.small import make_texts, pack_into, recipe_of, start_of, write_jsonl

SEQ_LEN = 16
Place = tuple[int, int, int]


def rows_of(cache: ShardCache, cursor: Cursor) -> "islice[Row]":
    return islice(read_rows(cache.recipe, PretokFill(cache, "ten pack"), cursor), 100_000)


def epoch_rows(cache: ShardCache, seq_len: int = SEQ_LEN) -> int:
    found = (cache.find(unit) for unit in range(cache.recipe.training_units))
    return sum(row_count(len(shard.tokens), seq_len) for shard in found if shard is not None)


def facts(row: Row) -> tuple[Place, bytes, bytes]:
    return (row.epoch, row.era, row.row_in_era), row.tokens.tobytes(), row.starts().tobytes()


def at(cursor: Cursor, row: Row) -> Cursor:
    return cursor.moved(epoch=row.epoch, era=row.era, row_in_era=row.row_in_era, rows=1)


def test_every_row_of_every_shard_comes_once_an_epoch(packed: ShardCache) -> None:
    count = epoch_rows(packed)
    rows = list(islice(rows_of(packed, start_of(packed.recipe, SEQ_LEN)), 3 * count))
    whole = Counter[bytes]()
    for unit in range(packed.recipe.training_units):
        shard = packed.find(unit)
        assert shard is not None
        for row in range(row_count(len(shard.tokens), SEQ_LEN)):
            whole[shard.tokens[row * SEQ_LEN : row * SEQ_LEN + SEQ_LEN + 1].tobytes()] += 1
    for epoch in range(3):
        assert Counter(row.tokens.tobytes() for row in rows if row.epoch == epoch) == whole


def test_the_first_era_is_read_in_document_order(packed: ShardCache) -> None:
    rows = list(islice(rows_of(packed, start_of(packed.recipe, SEQ_LEN)), 200))
    first = [row.number for row in rows if is_sequential(row.epoch, row.era)]
    assert first == list(range(len(first))) and len(first) > 1
    second = [row.number for row in rows if (row.epoch, row.era) == (0, 1)]
    assert second != sorted(second)


def test_other_seeds_read_in_another_order(packed: ShardCache) -> None:
    orders = {
        tuple(row.tokens.tobytes() for row in islice(rows_of(packed, start_of(packed.recipe, SEQ_LEN, seed)), 50))
        for seed in range(4)
    }
    assert len(orders) == 4


def test_a_row_knows_where_its_documents_start(packed: ShardCache) -> None:
    end = packed.recipe.tokenizer.end_of_document
    for row in islice(rows_of(packed, start_of(packed.recipe, SEQ_LEN)), 500):
        assert row.starts()[1:].tolist() == (row.tokens[:-2] == end).tolist()
        assert row.starts()[0] == (row.number == 0 or row.number * SEQ_LEN in row.ends)


def test_a_resume_at_any_row_goes_on_with_the_next(packed: ShardCache) -> None:
    start = start_of(packed.recipe, SEQ_LEN)
    count = 2 * epoch_rows(packed) + 5
    whole = list(islice(rows_of(packed, start), count))
    edges = [k for k in range(1, count - 1) if whole[k].era != whole[k - 1].era or whole[k].epoch != whole[k - 1].epoch]
    assert {whole[k].epoch for k in edges} == {0, 1, 2}
    for k in sorted({0, *(edge + step for edge in edges for step in (-1, 0, 1)), *range(1, count - 20, 97)}):
        expected = whole[k + 1 : k + 21]
        tail = islice(rows_of(packed, at(start, whole[k])), len(expected))
        assert [facts(row) for row in tail] == [facts(row) for row in expected]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 120), min_size=2, max_size=4))
def test_a_resume_of_a_resume_replays_and_skips_no_row(shared: ShardCache, pieces: list[int]) -> None:
    cursor = start_of(shared.recipe, SEQ_LEN, seed=7)
    whole = [facts(row) for row in islice(rows_of(shared, cursor), sum(pieces))]
    seen: list[tuple[Place, bytes, bytes]] = []
    for piece in pieces:
        rows = list(islice(rows_of(shared, cursor), piece))
        seen += map(facts, rows)
        cursor = cursor.moved(epoch=rows[-1].epoch, era=rows[-1].era, row_in_era=rows[-1].row_in_era, rows=piece)
    assert seen == whole
    assert (cursor.rows, cursor.tokens) == (sum(pieces), sum(pieces) * SEQ_LEN)


@pytest.fixture(scope="module")
def shared(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardCache:
    """One packed corpus for all examples."""
    cache = ShardCache(LocalStore(tmp_path_factory.mktemp("store")), recipe_of(corpus_path))
    pack_into(cache)
    return cache


def steps(cache: ShardCache, cursor: Cursor, shape: BatchShape, count: int) -> list[StepBatch]:
    return list(islice(step_batches(cache.recipe, PretokFill(cache, "ten pack"), cursor, shape), count))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_any_number_of_ranks_trains_on_the_same_rows(packed: ShardCache, ranks: int) -> None:
    start = start_of(packed.recipe, SEQ_LEN)
    rows = [row.tokens.astype("<i8").tobytes() for row in islice(rows_of(packed, start), 16)]
    digests = [hashlib.sha256(row.tokens.tobytes()).digest() for row in islice(rows_of(packed, start), 16)]
    shapes = [BatchShape(micro_batch_rows=2, micro_batches=4 // ranks, rank=r, ranks=ranks) for r in range(ranks)]
    by_rank = [steps(packed, start, shape, 2) for shape in shapes]
    assert len({one[1].cursor for one in by_rank}) == 1
    for step in range(2):
        together = rows_sha256([one[step].row_digests for one in by_rank], shapes[0].micro_batches)
        assert together == hashlib.sha256(b"".join(digests[8 * step : 8 * step + 8])).hexdigest()
        seen: list[bytes] = []
        for micro in range(shapes[0].micro_batches):
            for one in by_rank:
                seen += (row.numpy().tobytes() for row in one[step].micro_batches[micro].tokens)
        assert seen == rows[8 * step : 8 * step + 8]


def test_a_run_may_resume_on_more_ranks(packed: ShardCache) -> None:
    start = start_of(packed.recipe, SEQ_LEN)
    alone = steps(packed, start, BatchShape(micro_batch_rows=2, micro_batches=2), 6)
    halves = [
        steps(packed, alone[2].cursor, BatchShape(micro_batch_rows=2, micro_batches=1, rank=rank, ranks=2), 3)
        for rank in range(2)
    ]
    for step in range(3):
        assert halves[0][step].row_digests + halves[1][step].row_digests == alone[3 + step].row_digests
        assert halves[0][step].cursor == alone[3 + step].cursor


def test_a_cursor_survives_json_and_is_small(packed: ShardCache) -> None:
    import msgspec

    cursor = start_of(packed.recipe).moved(epoch=3, era=100_000, row_in_era=10**7, rows=10**12)
    raw = msgspec.json.encode(cursor)
    assert msgspec.json.decode(raw, type=Cursor) == cursor
    assert len(raw) < 400 and "fingerprint" in json.loads(raw)


def test_a_corpus_shorter_than_a_row_is_an_error_that_names_seq_len(tmp_path: Path) -> None:
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(write_jsonl(tmp_path / "a.jsonl", make_texts(3))))
    pack_into(cache)
    with pytest.raises(DataError, match=r"no shard has a whole row of 100001 tokens.*data\.seq_len"):
        next(rows_of(cache, start_of(cache.recipe, 100_000)))


def test_units_without_a_whole_row_are_passed_over(tmp_path: Path) -> None:
    texts = [*make_texts(20), *["x"] * 2000, *make_texts(20, seed=5)]
    cache = ShardCache(LocalStore(tmp_path / "store"), recipe_of(write_jsonl(tmp_path / "a.jsonl", texts)))
    pack_into(cache)
    seq_len = 300
    count = epoch_rows(cache, seq_len)
    counts = {
        len(shard.tokens) // (seq_len + 1) for unit in range(len(cache.recipe.units)) if (shard := cache.find(unit))
    }
    assert 0 in counts and count > 2
    rows = list(islice(rows_of(cache, start_of(cache.recipe, seq_len)), 2 * count))
    assert [row.epoch for row in rows] == [0] * count + [1] * count


def test_the_recipe_is_the_fixture(recipe: Recipe) -> None:
    assert len(recipe.units) > 20 and recipe.dtype == "U16"
