"""What making shards cost, and what holds it up."""

import pytest

from ten.data.supply import Supply


def test_costs_add_up_and_come_apart_again() -> None:
    one = Supply(network_s=1.0, decode_s=2.0, tokenize_s=3.0, disk_s=4.0, text_bytes=5)
    two = Supply(network_s=10.0, decode_s=20.0, tokenize_s=30.0, disk_s=40.0, text_bytes=50)
    assert one + two == Supply(network_s=11.0, decode_s=22.0, tokenize_s=33.0, disk_s=44.0, text_bytes=55)
    assert (one + two) - two == one
    assert one.seconds == 10.0


@pytest.mark.parametrize(
    ("spent", "limit", "share"),
    [
        (Supply(network_s=6.0, tokenize_s=3.0, disk_s=1.0), "network", 0.6),
        (Supply(network_s=4.0, decode_s=3.0, tokenize_s=2.0, disk_s=1.0), "tokenizer", 0.5),
        (Supply(network_s=1.0, tokenize_s=1.0, disk_s=6.0), "disk", 0.75),
    ],
)
def test_the_largest_share_is_the_limit(spent: Supply, limit: str, share: float) -> None:
    found = spent.limit()
    assert found == limit
    assert found is not None and spent.share(found) == pytest.approx(share)


def test_where_nothing_was_spent_nothing_limits() -> None:
    assert Supply().limit() is None
    assert Supply().share("network") == 0.0
