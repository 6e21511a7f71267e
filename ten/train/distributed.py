"""World: this process among the ranks that train one model together; alone unless torchrun's variables say more."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ten.errors import Resumable, ServiceUnavailable, TrainingDiverged
from ten.train.device import GpuFailed
from ten.train.ranks import number

_BUCKET_NUMBERS = 16 * 2**20
_NO_ABORT = ("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0")
"""Else NCCL's watchdog ends the process where a GPU fails, before anybody can say which and why."""


class LostRank(Resumable):
    """Another rank has ended in the middle: its work and that since the last checkpoint is gone, the run is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Rank, size and the few collectives that training needs; without other ranks each of them costs nothing.

    Every rank must call the same collectives in the same order. What ranks tell each other goes over gloo, from CPU to
    CPU: it waits for no kernel, and it breaks at once where a rank has ended, which NCCL does not. Parameters and
    gradients go over NCCL on CUDA.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    in_step: bool = False
    """Whether forward and backward passes are collectives, as they are where the ranks share out the parameters."""

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files, logs and progress for all."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """`values` summed over all ranks, on the CPU."""
        if self.size == 1:
            return values
        values = values.cpu()
        dist.all_reduce(values)
        return values

    def agree(self, asked: bool) -> bool:
        """Whether to leave now: where passes are collectives as soon as one rank is `asked`, else as this one is."""
        return bool(self.sum(torch.tensor(float(asked)))) if self.in_step else asked

    def from_first(self, value: int) -> int:
        """Rank 0's `value`, on every rank."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.int64)
        dist.broadcast(shared, src=0)
        return int(shared.item())

    def bytes_from_first(self, data: bytes) -> bytes:
        """Rank 0's `data`, on every rank."""
        if self.size == 1:
            return data
        shared = torch.zeros(self.from_first(len(data)), dtype=torch.uint8)
        if self.is_first and data:
            shared.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(shared, src=0)
        return shared.numpy().tobytes()

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every rank rank 0's values of each tensor, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all ranks, in buckets of at most 64 MiB (or one parameter)."""
        if self.size == 1 or self.in_step:  # a backward pass in step has summed them
            return
        for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def gather_digests(self, digests: Sequence[bytes]) -> list[list[bytes]]:
        """Every rank's sha256 digests, by rank; each rank brings as many."""
        if self.size == 1:
            return [list(digests)]
        mine = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8)
        gathered = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(gathered, mine)
        return [[bytes(row) for row in part.view(-1, 32).numpy()] for part in gathered]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.sum(torch.zeros(()))


@contextmanager
def open_world(device: torch.device, *, timeout_s: float = 900.0) -> Iterator[World]:
    """The world that torchrun's variables describe (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).

    A rank that leaves by an error drops out of the group, and the others, at their next collective, fail with LostRank:
    at once where the connection breaks, after `timeout_s` at the latest.
    """
    size = number("WORLD_SIZE", 1)
    if size == 1:
        yield World(device=device)
        return
    world = World(rank=number("RANK"), size=size, local_rank=local_rank(), device=device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        os.environ.setdefault(*_NO_ABORT)
    try:
        dist.init_process_group(
            backend, rank=world.rank, world_size=world.size, timeout=timedelta(seconds=timeout_s),
            device_id=device if device.type == "cuda" else None,
        )  # fmt: skip
    except RuntimeError as error:
        raise ServiceUnavailable(
            f"rank {world.rank} of {world.size}: the ranks did not meet within {timeout_s:.0f} s "
            f"({str(error).splitlines()[0]}); see what the other ranks say, then run the same command again"
        ) from error
    # After an error that not all have, peers may be inside a collective: on NCCL taking the group down in order could
    # wait for them, while the end of this process breaks the connections at once.
    in_order = device.type == "cpu"
    try:
        with named_losses(world):
            yield world
        in_order = True
    except (Resumable, TrainingDiverged) as error:
        in_order |= not isinstance(error, LostRank | GpuFailed)
        raise
    finally:
        if in_order:
            dist.destroy_process_group()


@contextmanager
def named_losses(world: World) -> Iterator[None]:
    """Raise LostRank for what torch raises, here or in a backward pass, when the connection to another rank breaks."""
    try:
        yield
    except RuntimeError as error:
        if world.size == 1 or not _is_lost_connection(error):
            raise
        raise LostRank(
            f"rank {world.rank} of {world.size}: another rank has ended ({str(error).splitlines()[0]}); see "
            "what it says. What was trained since the last checkpoint is lost; run the same command again to go on"
        ) from error


def _is_lost_connection(error: RuntimeError) -> bool:
    """Gloo has no exception of its own; its messages name its source files."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def local_rank() -> int:
    """This process's number on its machine, and so its GPU; 0 when alone."""
    return number("LOCAL_RANK", 0)


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    numbers = 0
    for gradient in gradients:
        if bucket and (numbers + gradient.numel() > _BUCKET_NUMBERS or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, numbers = [], 0
        bucket.append(gradient)
        numbers += gradient.numel()
    if bucket:
        yield bucket
