"""Micro-batches on the device that trains on them, each copied while the one before it is being computed (torch)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ten.data.loader import MicroBatch


def prefetched(micro_batches: Iterable[MicroBatch], device: torch.device) -> Iterator[MicroBatch]:
    """The micro-batches in their order, on `device`.

    On CUDA two are there at a time: the copy of the next one runs on a stream of its own, from pinned memory, so that
    the compute stream never waits for the bus. Elsewhere each is moved when it is asked for.
    """
    if device.type != "cuda":
        yield from (_moved(micro, device) for micro in micro_batches)
        return
    side = _side_stream(device)
    ahead: tuple[MicroBatch, torch.cuda.Event] | None = None
    for micro in micro_batches:
        following = _sent(micro, device, side)
        if ahead is not None:
            yield _arrived(*ahead, device)
        ahead = following
    if ahead is not None:
        yield _arrived(*ahead, device)


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all steps: memory that was copied into on a stream serves that stream alone."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _moved(micro: MicroBatch, device: torch.device) -> MicroBatch:
    tokens, starts = (part.to(device, non_blocking=True) for part in (micro.tokens, micro.starts))
    return replace(micro, tokens=tokens, starts=starts)


def _sent(micro: MicroBatch, device: torch.device, side: torch.cuda.Stream) -> tuple[MicroBatch, torch.cuda.Event]:
    with torch.cuda.stream(side):
        moved = _moved(micro, device)
    return moved, side.record_event()


def _arrived(micro: MicroBatch, copied: torch.cuda.Event, device: torch.device) -> MicroBatch:
    """The micro-batch for the compute stream, which waits for its copy; its memory stays until that stream is done."""
    compute = torch.cuda.current_stream(device)
    compute.wait_event(copied)
    for part in (micro.tokens, micro.starts):
        part.record_stream(compute)
    return micro
