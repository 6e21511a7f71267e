"""The reading order: a pure function of integers, the same in every mode, on every machine, for any number of ranks.

Units are permuted per epoch by a seeded pseudo-random permutation. Consecutive permuted units form eras; the rows of
an era are permuted likewise. In the first epoch eras grow (1, 2, 4, 8, 8, …), and the very first is read in document
order, so that the first step waits for a few documents and not for a shard.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

ERA_UNITS = 8
"""Units in a full-grown era: rows are shuffled across this many shards at once."""
_FIRST_ERAS = (1, 2, 4)
_ROUNDS = 4


class Permutation:
    """A seeded bijection of range(size) in O(1) memory with random access: a Feistel network with cycle walking.

    Four rounds of a balanced Feistel network (Luby and Rackoff 1988) over the next even power of two; values that
    fall outside range(size) are fed back until they are inside, which keeps it a bijection (Black and Rogaway 2002).
    """

    def __init__(self, size: int, *key: int | str) -> None:
        if size < 0:
            raise ValueError(f"a permutation needs a size >= 0, not {size}")
        self.size = size
        half_bits = max(1, ((size - 1).bit_length() + 1) // 2) if size > 1 else 1
        self._half_bits = np.uint64(half_bits)
        self._mask = np.uint64((1 << half_bits) - 1)
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8 * _ROUNDS).digest()
        self._keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)

    def __call__(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The images of `indices`, each in range(size)."""
        if indices.size and not (int(indices.min()) >= 0 and int(indices.max()) < self.size):
            raise IndexError(f"indices must lie in range({self.size})")
        values = self._encrypt(indices.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while outside.size:
            values[outside] = self._encrypt(values[outside])
            outside = outside[values[outside] >= self.size]
        return values.astype(np.int64)

    def _encrypt(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> self._half_bits, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right, key) & self._mask)
        return (left << self._half_bits) | right


def _mix(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014) on `values` + `key`."""
    mixed = values + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def era_bounds(epoch: int, era: int, units: int) -> range:
    """The positions, in the epoch's permuted list of units, that an era covers; empty past the epoch's end."""
    if epoch == 0 and era < len(_FIRST_ERAS):
        begin, size = sum(_FIRST_ERAS[:era]), _FIRST_ERAS[era]
    elif epoch == 0:
        begin, size = sum(_FIRST_ERAS) + (era - len(_FIRST_ERAS)) * ERA_UNITS, ERA_UNITS
    else:
        begin, size = era * ERA_UNITS, ERA_UNITS
    return range(min(begin, units), min(begin + size, units))


def era_units(seed: int, epoch: int, era: int, units: int) -> list[int]:
    """The units (numbers below `units`) whose rows make up an era; empty past the epoch's end.

    The first epoch begins with unit 0 whatever the seed, in the place of the unit that comes first by permutation:
    the start of the corpus, which is looked at in any case (its text column, its tokens), is then all that must be
    fetched before the first step.
    """
    positions = np.array(era_bounds(epoch, era, units), dtype=np.int64)
    permutation = Permutation(units, "units", seed, epoch)
    permuted = [int(unit) for unit in permutation(positions)]
    if epoch or not permuted:
        return permuted
    first = int(permutation(np.zeros(1, dtype=np.int64))[0])
    swapped = [first if unit == 0 else unit for unit in permuted]
    return [0, *swapped[1:]] if era == 0 else swapped


def is_sequential(epoch: int, era: int) -> bool:
    """Whether an era's rows are read in document order: only the very first era's are."""
    return epoch == 0 and era == 0


def row_order(seed: int, epoch: int, era: int, rows: int) -> Permutation:
    """The order in which a (not sequential) era's `rows` rows are read."""
    return Permutation(rows, "rows", seed, epoch, era)
