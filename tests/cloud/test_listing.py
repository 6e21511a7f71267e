"""What is billed now, and what could be."""

from ten.cloud.listing import describe_live, describe_sizes, live
from ten.cloud.machines import Droplet, Size
from ten.cloud.tags import expiry_tag, run_tag
from ten.runs_list import RunSummary

SUMMARY = RunSummary(
    run="r", step=120, tokens=1, total_tokens=2, loss=None, held_out_bits_per_byte=None, checkpoints=2, age_s=240.0,
    state="running",
)  # fmt: skip


def droplet(price: float | None = 1.5, *tags: str) -> Droplet:
    return Droplet(
        id=7, name="ten-r-1", status="active", address="203.0.113.9", size="gpu-l40sx1-48gb", region="tor1",
        price_per_hour=price, created=1000.0, tags=("ten", *tags),
    )  # fmt: skip


def test_a_line_says_age_dollars_lease_and_last_checkpoint() -> None:
    found = live([droplet(1.5, run_tag("r"), expiry_tag(1000 + 7200))], {"r": SUMMARY}, now=1000 + 3600)
    said = describe_live(found)
    assert "$1.50 at $1.50/h" in said and "1h 00m left" in said and "step 120, 4m 00s ago" in said
    assert said.endswith("$1.50 so far")


def test_a_lease_that_is_over_and_a_price_that_is_unknown_say_so() -> None:
    said = describe_live(live([droplet(None, expiry_tag(1001))], {}, now=5000.0))
    assert "over: ten reap" in said and "unknown" in said and said.endswith("$0.00 so far, and what is not known")


def test_nothing_there_is_nothing_billed() -> None:
    assert describe_live([]) == "no droplet of ours is there: nothing is billed"


def test_sizes_are_the_apis_or_the_tables_with_its_date() -> None:
    asked = describe_sizes([Size(slug="gpu-x", price_per_hour=2.0, regions=(), available=False, gpu="x", gpus=1)])
    assert "gpu-x" in asked and "sold out" in asked and "2026" not in asked
    assert "prices of 2026-08" in describe_sizes(None)
