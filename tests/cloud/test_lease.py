"""A droplet's time and the worst case of its price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.cloud.lease import ENDING_S, STARTUP_S, make_lease
from ten.errors import SpecError
from ten.job import LimitSettings


def test_the_worst_case_is_the_price_of_every_second_until_the_droplet_is_gone() -> None:
    lease = make_lease(LimitSettings(max_duration="6h", stop_grace="5m"), 1.57, created=1000.0)
    assert lease.deadline == 1000 + STARTUP_S + 6 * 3600
    assert lease.expires == lease.deadline + 300 + ENDING_S
    assert lease.dollars == pytest.approx(1.57 * (6 * 3600 + STARTUP_S + 300 + ENDING_S) / 3600)


def test_a_job_without_an_end_is_refused() -> None:
    with pytest.raises(SpecError, match=r"billed for ever.*limits.max_duration=6h"):
        make_lease(LimitSettings(), 1.57, created=0.0)


def test_a_budget_that_is_used_up_is_refused() -> None:
    with pytest.raises(SpecError, match=r"max_cost=2: \$1.90 is spent"):
        make_lease(LimitSettings(max_cost=2.0), 3.39, created=0.0, spent=1.9)


@given(max_cost=st.floats(1, 1000), price=st.floats(0.1, 40), spent=st.floats(0, 0.3))
def test_a_budget_is_never_exceeded(max_cost: float, price: float, spent: float) -> None:
    try:
        lease = make_lease(LimitSettings(max_cost=max_cost, stop_grace="1m"), price, created=0.0, spent=spent)
    except SpecError:
        assert (max_cost - spent) / price * 3600 <= 60 + ENDING_S + 1
        return
    assert spent + lease.dollars <= max_cost * (1 + 1e-9)


def test_the_job_stops_by_its_own_budget_before_the_lease_stops_it() -> None:
    lease = make_lease(LimitSettings(max_cost=10.0, stop_grace="1m"), 3600.0 / 1000, created=0.0)
    begun = 600.0
    own = lease.job_budget(10.0, 0.0, now=begun)
    assert begun + own * 1000 < lease.deadline
