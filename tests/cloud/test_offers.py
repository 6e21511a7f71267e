"""Which machines are asked for, in which order."""

import pytest

from ten.cloud.machines import Size
from ten.cloud.offers import Candidate, candidates
from ten.errors import SpecError
from ten.resources import Offer, ResourceSettings

SIZES = [
    Size(slug="gpu-l40sx1-48gb", price_per_hour=1.57, regions=(), available=False),
    Size(slug="gpu-6000adax1-48gb", price_per_hour=1.60, regions=("tor1", "nyc2"), available=True),
]


def test_the_jobs_order_is_walked_and_every_region_of_a_size_tried() -> None:
    found = candidates(ResourceSettings(), SIZES)
    assert [(one.size, one.region, one.in_stock) for one in found] == [
        ("gpu-l40sx1-48gb", None, False),
        ("gpu-6000adax1-48gb", "tor1", True),
        ("gpu-6000adax1-48gb", "nyc2", True),
    ]


@pytest.mark.parametrize(
    ("asked", "size"),
    [("H100:8", "gpu-h100x8-640gb"), ("L40S", "gpu-l40sx1-48gb"), ("RTX6000-Ada:1", "gpu-6000adax1-48gb")],
)
def test_without_an_order_it_is_the_gpu_that_is_asked_for_and_no_other(asked: str, size: str) -> None:
    assert [one.size for one in candidates(ResourceSettings(accelerators=asked), None)] == [size]


@pytest.mark.parametrize(("size", "gpus"), [("gpu-h100x8-640gb", 8), ("gpu-6000adax1-48gb", 1), ("s-2vcpu-4gb", 0)])
def test_a_size_says_how_many_gpus_are_paid_for(size: str, gpus: int) -> None:
    assert Candidate(size=size, region=None, price_per_hour=None, in_stock=None).gpus == gpus


def test_a_gpu_that_no_size_has_is_refused() -> None:
    with pytest.raises(SpecError, match=r"resources\.accelerators: H100:4: no size"):
        candidates(ResourceSettings(accelerators="H100:4"), None)


def test_a_region_that_is_named_is_the_only_one() -> None:
    wanted = ResourceSettings(ordered=(Offer(infra="do/ams3", instance_type="gpu-6000adax1-48gb"),))
    (one,) = candidates(wanted, SIZES)
    assert (one.region, one.in_stock) == ("ams3", False)


def test_without_the_api_prices_are_the_tables_and_marked_or_unknown() -> None:
    wanted = ResourceSettings(
        ordered=(Offer(infra="do", instance_type="gpu-h100x1-80gb"), Offer(infra="do", instance_type="gpu-new"))
    )
    known, unknown = candidates(wanted, None)
    assert (known.price_per_hour, known.is_listed_price, known.in_stock) == (3.39, True, None)
    assert (unknown.price_per_hour, unknown.is_listed_price) == (None, False)


def test_a_size_that_is_not_is_named_with_the_nearest() -> None:
    wanted = ResourceSettings(ordered=(Offer(infra="do", instance_type="gpu-l40sx1-48g"),))
    with pytest.raises(SpecError, match="did you mean 'gpu-l40sx1-48gb'"):
        candidates(wanted, SIZES)


@pytest.mark.parametrize("offer", [("local", "x"), ("do", "gpu-mi300x1-192gb")])
def test_a_machine_that_cannot_do_it_is_refused(offer: tuple[str, str]) -> None:
    with pytest.raises(SpecError, match=r"resources\.ordered"):
        candidates(ResourceSettings(ordered=(Offer(infra=offer[0], instance_type=offer[1]),)), SIZES)
