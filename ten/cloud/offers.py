"""Offers: which size in which region is asked for, in the job's order, at today's price."""

import re
from collections.abc import Sequence

import msgspec

from ten import prices
from ten.cloud.machines import Size
from ten.errors import SpecError
from ten.resources import Offer, ResourceSettings
from ten.settings import nearest

USUAL = (
    Offer(infra="do", instance_type="gpu-l40sx1-48gb"),
    Offer(infra="do", instance_type="gpu-6000adax1-48gb"),
)
"""One NVIDIA GPU of 48 GB, the one or the other: the same price, and one of them is mostly in stock."""
_PROVIDER = "do"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A size in a region, and what is known of it."""

    size: str
    region: str | None
    """None where the API was not asked which there are."""
    price_per_hour: float | None
    """Dollars; None where nothing says."""
    in_stock: bool | None
    """None where the API was not asked."""
    is_listed_price: bool = False
    """Whether the price is the table's, of the day it was made."""

    @property
    def is_gpu(self) -> bool:
        """Whether it has a GPU."""
        return self.size.startswith("gpu-")

    @property
    def gpus(self) -> int:
        """How many it has: its name says so."""
        found = re.match(r"gpu-[a-z0-9]+?x(\d+)-", self.size)
        return int(found[1]) if found else 0

    def __str__(self) -> str:
        return f"{self.size} in {self.region}" if self.region else self.size


def candidates(resources: ResourceSettings, sizes: Sequence[Size] | None) -> list[Candidate]:
    """What to ask for, the first first; `sizes` is what the API has, None where it is not asked.

    Raises SpecError for a size that there is not and for a job that names no machine to rent here.
    """
    offers = [offer for offer in wanted(resources) if offer.infra.split("/")[0] == _PROVIDER]
    if not offers:
        raise SpecError(
            "resources.ordered: names no machine of DigitalOcean; write {infra: do/tor1, instance_type: "
            "gpu-l40sx1-48gb}"
        )
    if refused := next((offer for offer in offers if "mi3" in offer.instance_type), None):
        raise SpecError(f"resources.ordered: {refused.instance_type} has AMD GPUs; the image is for NVIDIA's")
    if sizes is None:
        return [_unasked(offer) for offer in offers]
    known = {size.slug: size for size in sizes}
    return [found for offer in offers for found in _asked(offer, known)]


def wanted(resources: ResourceSettings) -> tuple[Offer, ...]:
    """The job's own order; without one what has the GPUs it asks for, or the usual. Raises SpecError for none."""
    if resources.ordered or resources.gpu is None:
        return resources.ordered or USUAL
    name, count = resources.gpu
    model = re.sub("[^a-z0-9]", "", name.lower()).removeprefix("nvidia").removeprefix("rtx")
    found = [slug for slug in prices.listed_sizes() if slug.startswith(f"gpu-{model}x{count}-")]
    if not found:
        raise SpecError(
            f"resources.accelerators: {resources.accelerators}: no size of DigitalOcean is known to have it; name one "
            "in resources.ordered (`ten sizes`)"
        )
    return tuple(Offer(infra=_PROVIDER, instance_type=slug) for slug in found)


def _unasked(offer: Offer) -> Candidate:
    listed = prices.listed(offer.instance_type)
    return Candidate(
        size=offer.instance_type,
        region=offer.infra.partition("/")[2] or None,
        price_per_hour=listed.per_hour if listed else None,
        in_stock=None,
        is_listed_price=listed is not None,
    )


def _asked(offer: Offer, known: dict[str, Size]) -> list[Candidate]:
    size = known.get(offer.instance_type)
    if size is None:
        raise SpecError(
            f"resources.ordered: {offer.instance_type}: no such size; {nearest(offer.instance_type, known)}"
        )
    region = offer.infra.partition("/")[2]
    here = size.regions if size.available else ()
    regions = (region,) if region else here or (None,)
    return [
        Candidate(size=size.slug, region=name, price_per_hour=size.price_per_hour, in_stock=name in here)
        for name in regions
    ]
