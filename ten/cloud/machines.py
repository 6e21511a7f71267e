"""Machines: a droplet and a size as the API describes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ten.cloud.tags import OURS, expiry_of, run_of


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of droplet."""

    slug: str
    price_per_hour: float
    """Dollars."""
    regions: tuple[str, ...]
    """Where it can be had now."""
    available: bool
    gpu: str | None = None
    """Its model, as the API calls it; None without one."""
    gpus: int = 0
    vram_gib: int = 0
    cores: int = 0
    memory_mib: int = 0
    disk_gib: int = 0


class Droplet(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that is billed, whatever its status."""

    id: int
    name: str
    status: str
    """new, active, off or archive."""
    address: str | None
    """Its public IPv4 address, once it has one."""
    size: str
    region: str
    price_per_hour: float | None
    """Dollars; None where the API does not say."""
    created: float
    """Unix time."""
    tags: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """Whether `ten up` made it."""
        return OURS in self.tags

    @property
    def run(self) -> str | None:
        """The run it is for."""
        return run_of(self.tags)

    @property
    def expires(self) -> int | None:
        """When its lease ends, Unix time."""
        return expiry_of(self.tags)

    def age_s(self, now: float) -> float:
        """Seconds since it was made."""
        return max(0.0, now - self.created)

    def cost(self, now: float) -> float | None:
        """Dollars since it was made; None where its price is not known."""
        return None if self.price_per_hour is None else self.price_per_hour * self.age_s(now) / 3600


def read_size(said: Mapping[str, Any]) -> Size:
    """A size from the API's answer."""
    gpu = said.get("gpu_info") or {}
    regions = tuple(said.get("regions") or ())
    return Size(
        slug=said["slug"],
        price_per_hour=float(said["price_hourly"]),
        regions=regions,
        available=bool(said.get("available", True)) and bool(regions),
        gpu=gpu.get("model"),
        gpus=int(gpu.get("count") or 0),
        vram_gib=int((gpu.get("vram") or {}).get("amount") or 0),
        cores=int(said.get("vcpus") or 0),
        memory_mib=int(said.get("memory") or 0),
        disk_gib=int(said.get("disk") or 0),
    )


def read_droplet(said: Mapping[str, Any]) -> Droplet:
    """A droplet from the API's answer."""
    networks = (said.get("networks") or {}).get("v4") or []
    price = (said.get("size") or {}).get("price_hourly")
    return Droplet(
        id=int(said["id"]),
        name=said["name"],
        status=said.get("status", "new"),
        address=next((net["ip_address"] for net in networks if net.get("type") == "public"), None),
        size=said.get("size_slug") or (said.get("size") or {}).get("slug", ""),
        region=(said.get("region") or {}).get("slug", ""),
        price_per_hour=None if price is None else float(price),
        created=datetime.fromisoformat(said["created_at"]).timestamp(),
        tags=tuple(said.get("tags") or ()),
    )
