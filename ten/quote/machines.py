"""Machines a job is quoted for: those it names, else every single card with a listed price."""

import msgspec

from ten import prices
from ten.hardware import Gpu, find_gpu, known_gpus
from ten.quote.utilization import Speed
from ten.resources import Offer, ResourceSettings
from ten.settings import nearest

_RENTED = "do"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Some GPUs and what an hour of them costs."""

    name: str
    """Its name where it is rented out, or the job's words for its GPUs."""
    gpu: str | None
    """One of its cards, as `ten.hardware` has it; None for one that is not known there."""
    gpus: int
    price_per_hour: float | None
    """Dollars for all of it; None where nothing says."""
    speed: Speed | None = None
    """Measured there, where nothing can be reckoned."""

    @property
    def card(self) -> Gpu | None:
        """The card's figures."""
        return None if self.gpu is None else find_gpu(self.gpu)

    @property
    def peak_flops(self) -> int | None:
        """Peak bf16 operations a second of all its cards; None for a card that is not known."""
        return None if self.card is None else round(self.card.bf16_flops) * self.gpus


def machines(resources: ResourceSettings) -> tuple[Machine, ...]:
    """The machines of `resources.ordered`, else those with `resources.accelerators`, else the single cards for rent.

    Nothing is asked: prices are the table's, unless the job has its own `price_per_hour`, which goes first.
    """
    price = resources.price_per_hour
    if resources.ordered:
        found = tuple(dict.fromkeys(_offered(offer) for offer in resources.ordered))
    elif resources.gpu is not None:
        return _with_gpus(*resources.gpu, price)
    else:
        found = tuple(_listed(slug, size) for slug, size in prices.listed_sizes().items() if size.gpus == 1)
    return found if price is None else tuple(msgspec.structs.replace(one, price_per_hour=price) for one in found)


def lookalikes(machine: str) -> str:
    """What the name of a machine whose card is not known may have meant."""
    name, colon, _ = machine.partition(":")
    return nearest(name, [card.name for card in known_gpus()] if colon else prices.listed_sizes())


def _offered(offer: Offer) -> Machine:
    size = prices.listed(offer.instance_type) if offer.infra.split("/")[0] == _RENTED else None
    if size is None:
        return Machine(name=offer.instance_type, gpu=None, gpus=1, price_per_hour=None)
    return _listed(offer.instance_type, size)


def _with_gpus(name: str, count: int, price: float | None) -> tuple[Machine, ...]:
    card = find_gpu(name)
    if card is None or price is not None:
        known = None if card is None else card.name
        return (Machine(name=f"{name}:{count}", gpu=known, gpus=count, price_per_hour=price),)
    sizes = prices.listed_sizes().items()
    found = [_listed(slug, size) for slug, size in sizes if (size.gpu, size.gpus) == (card.name, count)]
    return tuple(found) or (Machine(name=f"{name}:{count}", gpu=card.name, gpus=count, price_per_hour=None),)


def _listed(slug: str, size: prices.Listed) -> Machine:
    return Machine(name=slug, gpu=size.gpu, gpus=size.gpus, price_per_hour=size.per_hour)
