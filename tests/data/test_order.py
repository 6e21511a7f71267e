"""The reading order against a naive Feistel network and the claims that resuming and sharing rest on."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.data.order import ERA_UNITS, Permutation, era_bounds, era_units, is_sequential, row_order

SIZES = st.one_of(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 16, 17, 64, 97, 251, 256, 257, 1021]), st.integers(0, 3000))


def images(size: int, *key: int | str) -> list[int]:
    return [int(image) for image in Permutation(size, *key)(np.arange(size, dtype=np.int64))]


def naive_image(index: int, size: int, *key: int | str) -> int:
    """The same network on Python integers, one value at a time."""
    half = 1
    while 4**half < size:
        half += 1
    digest = hashlib.blake2b(repr(key).encode(), digest_size=32).digest()
    keys = [int.from_bytes(digest[8 * k : 8 * k + 8], "little") for k in range(4)]
    while True:
        left, right = index >> half, index % 2**half
        for round_key in keys:
            z = (right + round_key) % 2**64
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
            left, right = right, left ^ ((z ^ (z >> 31)) % 2**half)
        index = left * 2**half + right
        if index < size:
            return index


@given(SIZES, st.integers(0, 2**32 - 1))
def test_a_permutation_is_a_bijection(size: int, seed: int) -> None:
    assert sorted(images(size, "x", seed)) == list(range(size))


@given(st.integers(1, 300), st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_it_is_the_feistel_network_with_cycle_walking(size: int, seed: int, epoch: int) -> None:
    assert images(size, "rows", seed, epoch) == [naive_image(i, size, "rows", seed, epoch) for i in range(size)]


@given(st.integers(10**9, 2**52), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 10**9 - 1), max_size=20))
def test_random_access_needs_no_more_than_the_index(size: int, seed: int, indices: list[int]) -> None:
    permutation = Permutation(size, seed)
    together = permutation(np.array(indices, dtype=np.int64)).tolist()
    assert together == [int(permutation(np.array([index]))[0]) for index in indices]
    assert together == [naive_image(index, size, seed) for index in indices]


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=r"range\(5\)"):
        Permutation(5)(np.array([index]))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size >= 0"):
        Permutation(-1)


def test_the_order_of_every_release_is_this_one() -> None:
    """Runs in progress depend on it: a change needs another cursor format."""
    assert images(10, "units", 0, 0) == [naive_image(i, 10, "units", 0, 0) for i in range(10)]
    permuted = images(10, "units", 0, 0)
    swapped = [0 if place == 0 else permuted[0] if unit == 0 else unit for place, unit in enumerate(permuted)]
    assert era_units(0, 0, 0, 10) + era_units(0, 0, 1, 10) == swapped[:3]


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_the_first_epoch_begins_with_the_start_of_the_corpus(units: int, seed: int) -> None:
    assert era_units(seed, 0, 0, units) == [0]


@given(st.integers(1, 100), st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_every_epoch_reads_every_unit_once(units: int, seed: int, epoch: int) -> None:
    read: list[int] = []
    era = 0
    while some := era_units(seed, epoch, era, units):
        read += some
        era += 1
    assert sorted(read) == list(range(units))


@given(st.integers(0, 400), st.integers(0, 3))
def test_eras_partition_the_positions_of_every_epoch(units: int, epoch: int) -> None:
    positions: list[int] = []
    era = 0
    while bounds := era_bounds(epoch, era, units):
        assert len(bounds) <= ERA_UNITS
        positions += bounds
        era += 1
    assert positions == list(range(units))
    assert not era_bounds(epoch, era + 1, units)


@given(st.integers(0, 200), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_eras_of_an_epoch_hold_every_unit_once(units: int, epoch: int, seed: int) -> None:
    eras = [era_units(seed, epoch, era, units) for era in range(units + 1)]
    assert sorted(unit for era in eras for unit in era) == list(range(units))


def test_eras_grow_in_the_first_epoch_and_are_whole_in_later_ones() -> None:
    assert [len(era_bounds(0, era, 40)) for era in range(8)] == [1, 2, 4, 8, 8, 8, 8, 1]
    assert [len(era_bounds(1, era, 20)) for era in range(4)] == [8, 8, 4, 0]


def test_only_the_very_first_era_is_in_document_order() -> None:
    assert [(epoch, era) for epoch in range(3) for era in range(5) if is_sequential(epoch, era)] == [(0, 0)]


def test_seeds_epochs_and_eras_give_different_orders() -> None:
    rows = {
        (seed, epoch, era): images(64, "rows", seed, epoch, era)
        for seed in (0, 1)
        for epoch in (0, 1)
        for era in (1, 2)
    }
    assert len({tuple(order) for order in rows.values()}) == len(rows)
    place = np.arange(64, dtype=np.int64)
    assert all(row_order(*key, 64)(place).tolist() == order for key, order in rows.items())
    units = {tuple(era_units(seed, epoch, era, 64)) for seed in (0, 1) for epoch in (1, 2) for era in range(8)}
    assert len(units) == 32


def test_a_permutation_moves_most_values() -> None:
    fixed = [sum(image == index for index, image in enumerate(images(size, 3))) for size in (64, 100, 1000)]
    assert max(fixed) <= 6
