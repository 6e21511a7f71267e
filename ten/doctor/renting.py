"""Renting checks: the token that makes droplets, today's price of the job's machines, the token that ends them."""

from importlib.util import find_spec

from ten.calls.patience import Patience
from ten.cloud.access import has_access, read_access
from ten.cloud.api import Api
from ten.cloud.offers import candidates
from ten.cloud.up import choose_lease_token
from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.subject import Subject

_NO_TOKEN = "DIGITALOCEAN_TOKEN is not set: nothing is rented from here"
_NO_CLIENT = "DigitalOcean's client is not installed here (pip install 'ten[cloud]')"


def check_renting(subject: Subject) -> Verdict:
    """Whether the token may ask for sizes, and whether the job's machines have a price and are in stock."""
    if reason := _cannot():
        return skipped(reason)
    access = read_access()
    with Api(access, Patience.of(subject.patience_s)) as api:
        found = candidates(subject.spec.resources, api.sizes())
    unpriced = [str(one) for one in found if one.price_per_hour is None]
    if unpriced:
        return fail(f"no price is known of {', '.join(unpriced)}", "name other machines: `ten sizes`")
    told = ", ".join(f"{one} ${one.price_per_hour:.2f}/h" for one in found if one.in_stock)
    if not told:
        sold_out = ", ".join(str(one) for one in found)
        return warn(f"{access.token_from} is good; sold out: {sold_out}", "ask for others: `ten sizes`")
    return ok(f"{access.token_from} is good; in stock: {told}")


def check_lease_token() -> Verdict:
    """Whether a droplet can be given a token that ends it and can do little else."""
    if reason := _cannot():
        return skipped(reason)
    choose_lease_token("droplet")
    return ok("DIGITALOCEAN_LEASE_TOKEN may destroy droplets, and is not the one that makes them")


def _cannot() -> str | None:
    if not has_access():
        return _NO_TOKEN
    return _NO_CLIENT if find_spec("pydo") is None else None
