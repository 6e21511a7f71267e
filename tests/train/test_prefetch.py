"""Micro-batches on their device: all of them, in order, with the values they had."""

from collections.abc import Iterator

import pytest
import torch

from ten.data.loader import MicroBatch
from ten.train.prefetch import prefetched

SHAPES = [(3, 7), (1, 5), (2, 9), (4, 2)]


def micro_batches(pin: bool = False) -> Iterator[MicroBatch]:
    for number, (rows, steps) in enumerate(SHAPES):
        tokens, starts = torch.full((rows, steps + 1), number), torch.zeros(rows, steps, dtype=torch.bool)
        yield MicroBatch(
            tokens=tokens.pin_memory() if pin else tokens, starts=starts.pin_memory() if pin else starts
        )  # fmt: skip


def test_on_a_cpu_they_are_passed_on_as_they_are_asked_for() -> None:
    asked: list[int] = []

    def source() -> Iterator[MicroBatch]:
        for number, micro in enumerate(micro_batches()):
            asked.append(number)
            yield micro

    for number, micro in enumerate(prefetched(source(), torch.device("cpu"))):
        assert asked == list(range(number + 1))
        assert micro.tokens.shape[1] == micro.starts.shape[1] + 1 and int(micro.tokens[0, 0]) == number
    assert asked == [0, 1, 2, 3]


def test_none_are_none() -> None:
    assert list(prefetched((), torch.device("cpu"))) == []


@pytest.mark.gpu
def test_on_a_gpu_they_arrive_whole_while_the_device_is_busy() -> None:
    device = torch.device("cuda")
    load = torch.randn(4096, 4096, device=device)
    seen = []
    for number, micro in enumerate(prefetched(micro_batches(pin=True), device)):
        for _ in range(20):
            load = load @ load * 1e-3
        assert micro.tokens.is_cuda and micro.starts.is_cuda
        seen.append((micro.tokens == number).all() & ~micro.starts.any())
    assert len(seen) == len(SHAPES) and all(bool(right) for right in seen)
