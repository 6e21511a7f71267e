"""What a job file says about the machine it wants (`resources:`)."""

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from ten.units import named, parse_bytes

Accelerators = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(:[1-9][0-9]*)?$")]
Size = str | int


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of machine and where to rent it."""

    infra: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9-]+(/[a-z0-9-]+)?$", description="Who rents it out, and where: do, do/tor1, do/nyc2."),
    ]
    instance_type: Annotated[str, Meta(min_length=1, description="Its name there, such as gpu-l40sx1-48gb.")]


class ResourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU, memory, disk, and the machines that have them."""

    accelerators: Annotated[
        Accelerators | None,
        Meta(
            description='GPU and how many of it, such as "L40S:1"; unset: whatever the machine has.',
        ),
    ] = None
    shm_size: Annotated[
        Size, Meta(description="Shared memory of the container, such as 16GB; several GPUs talk through it.")
    ] = "2GiB"
    disk_free: Annotated[
        Size | None,
        Meta(
            description="Room wanted on the disk of packs and runs, such as 60GB, with what the job already has there; "
            "less is an error before the start, exit code 73."
        ),
    ] = None
    price_per_hour: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(
            description="What an hour of the machine costs, in dollars; limits.max_cost counts with it. "
            "`ten up` sets it to the price it was told."
        ),
    ] = None
    ordered: Annotated[
        tuple[Offer, ...],
        Meta(
            description="Machines to ask for, {infra: do/tor1, instance_type: NAME} each; the first in stock is taken."
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what is no size, with the name of the field."""
        for name, size in (("shm_size", self.shm_size), ("disk_free", self.disk_free)):
            if size is not None:
                named(f"resources.{name}", partial(parse_bytes, size))

    @property
    def gpu(self) -> tuple[str, int] | None:
        """The GPU's name and how many; None where the job asks for none."""
        if self.accelerators is None:
            return None
        name, _, count = self.accelerators.partition(":")
        return name, int(count or 1)
