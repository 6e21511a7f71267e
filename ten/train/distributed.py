"""World: this process among the ranks that train one model together; alone unless torchrun's variables say more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ten.errors import Resumable, ServiceUnavailable, TrainingDiverged
from ten.train.ranks import number

_BUCKET_NUMBERS = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Rank, size and the few collectives that training needs; without other ranks each of them costs nothing.

    Every rank must call the same collectives in the same order.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files, logs and progress for all."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """`values` summed over all ranks, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def from_first(self, value: int) -> int:
        """Rank 0's `value`, on every rank."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.int64, device=self.device)
        dist.broadcast(shared, src=0)
        return int(shared.item())

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all ranks, in buckets of at most 64 MiB (or one parameter)."""
        if self.size == 1:
            return
        for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def share_parameters(self, model: nn.Module) -> None:
        """Give every rank the parameters and buffers of rank 0."""
        if self.size == 1:
            return
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor.data, src=0)

    def gather_digests(self, digests: Sequence[bytes]) -> list[list[bytes]]:
        """Every rank's sha256 digests, by rank; each rank brings as many."""
        if self.size == 1:
            return [list(digests)]
        mine = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8).to(self.device)
        gathered = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(gathered, mine)
        return [[bytes(row) for row in part.view(-1, 32).cpu().numpy()] for part in gathered]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def open_world(device: torch.device, *, timeout_s: float = 900.0) -> Iterator[World]:
    """The world that torchrun's variables describe (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).

    Gloo on CPU, NCCL on CUDA. A rank that leaves by an error drops out of the group, and the others, at their next
    collective, fail with it: at once where the connection breaks, after `timeout_s` at the latest.
    """
    size = number("WORLD_SIZE", 1)
    if size == 1:
        yield World(device=device)
        return
    world = World(rank=number("RANK"), size=size, local_rank=local_rank(), device=device)
    backend = "nccl" if device.type == "cuda" else "gloo"
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
    try:
        yield world
    except (Resumable, TrainingDiverged):
        dist.destroy_process_group()
        raise
    # After any other error the peers may be inside a collective: taking the group down in order could wait for them,
    # while the end of this process breaks the connections at once.
    dist.destroy_process_group()


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
