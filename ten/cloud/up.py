"""Up: a droplet made for a job, told its end before its beginning, and never left behind half made."""

import logging
import secrets
import time
from typing import Any

import msgspec

from ten.cloud import host as hosts
from ten.cloud.access import lease_access, read_lease_token, read_url
from ten.cloud.api import Api
from ten.cloud.carried import carried
from ten.cloud.ending import try_to_destroy
from ten.cloud.host_files import user_data
from ten.cloud.keys import choose_keys
from ten.cloud.lease import STARTUP_S, Lease, make_lease
from ten.cloud.machines import Droplet
from ten.cloud.offers import Candidate
from ten.cloud.refusals import NoStock
from ten.cloud.rental import Rental
from ten.cloud.ssh import Host
from ten.cloud.tags import OURS, expiry_tag, run_tag
from ten.cloud.unit import job_file, job_unit
from ten.errors import CredentialsError, ServiceUnavailable, SpecError, TenError
from ten.job import LimitSettings
from ten.store.opening import open_store
from ten.units import format_seconds, parse_seconds

log = logging.getLogger(__name__)
ACTIVE_S, SETTLE_S = 15 * 60.0, 30.0
"""How long a droplet may take until it runs, and until the API knows what it has just made."""
LINGER_S = 10 * 60.0
"""How long the droplet of a job that failed stays, so that `ten logs` can say why."""
_ASK_EVERY_S = 3.0


class Rented(msgspec.Struct, frozen=True, kw_only=True):
    """A droplet at work."""

    droplet: Droplet
    lease: Lease
    machine: Candidate


def rent(api: Api, rental: Rental, lease_token: str | None, pause_s: float = _ASK_EVERY_S) -> Rented:
    """Make a droplet and start the job on it. What was made is destroyed again where anything fails.

    Raises SpecError where the run has a droplet, ServiceUnavailable where nothing is in stock or a step fails.
    """
    spec = rental.spec
    values = carried(spec.secrets)
    keys = choose_keys(api.ssh_keys())
    refuse_second(api, rental.run)
    check_store(spec.store)
    droplet, lease, machine = _create(api, rental, keys)
    try:
        log.info("droplet %s: %s, $%.2f an hour", droplet.name, machine, lease.price_per_hour)
        host = Host(_wait_until_active(api, droplet, pause_s))
        log.info("%s: waiting for its first boot", host)
        hosts.wait_until_it_answers(host, pause_s=pause_s)
        skew = hosts.arm(host, lease, api.access.url, lease_token, _idle_s(spec.limits), LINGER_S)
        api.tag(droplet, expiry_tag(lease.expires + skew))
        log.info("lease armed: at most %s, $%.2f", format_seconds(lease.expires - lease.created), lease.dollars)
        hosts.give_secrets(host, values)
        log.info("pulling %s", spec.image)
        hosts.pull(host, str(spec.image))
        max_cost = spec.limits.max_cost
        budget = None if max_cost is None else lease.job_budget(max_cost, rental.spent, time.time())
        job = job_file(spec, lease.price_per_hour, rental.run, budget)
        hosts.start(host, job_unit(spec, machine), job)
    except BaseException:
        log.warning("droplet %s: not needed any more; destroying it", droplet.name)
        try_to_destroy(api, droplet)
        raise
    return Rented(droplet=host.droplet, lease=lease, machine=machine)


def choose_lease_token(kind: str) -> str | None:
    """The token for the droplet; None where the lease is kept from outside.

    Raises CredentialsError for one that could not end a droplet: that would be found out when it is too late.
    """
    if kind == "external":
        return None
    token = read_lease_token()
    with Api(lease_access(read_url(), token)) as api:
        api.check_may_destroy()
    return token


def refuse_second(api: Api, run: str) -> None:
    """Raise SpecError where a droplet is there for the run: two would fight over its checkpoints."""
    now = time.time()
    for droplet in api.droplets():
        if (droplet.run or "").casefold() == run.casefold():
            cost = droplet.cost(now)
            raise SpecError(
                f"run {run}: droplet {droplet.name} is there for it since {format_seconds(droplet.age_s(now))}"
                f"{'' if cost is None else f' (${cost:.2f} so far)'}; `ten logs {run}`, `ten down {run}`, or start "
                "another run with --set run=NAME"
            )


def check_store(address: str) -> None:
    """Raise what the store raises where it cannot be written, read and deleted from."""
    store, key = open_store(address), f"probes/{secrets.token_hex(8)}"
    probe = secrets.token_bytes(64)
    store.write(key, probe)
    try:
        if store.read(key) != probe:
            raise ServiceUnavailable(f"{store.url}/{key}: read back other bytes than were written; ask its provider")
    finally:
        store.delete(key)


def _create(api: Api, rental: Rental, keys: list[int]) -> tuple[Droplet, Lease, Candidate]:
    """The first machine of the list that is in stock."""
    tried: list[str] = []
    common: dict[str, Any] = {"ssh_keys": keys, "user_data": user_data(), "backups": False, "monitoring": False}
    for machine in rental.candidates:
        if not machine.in_stock or machine.region is None or machine.price_per_hour is None:
            tried.append(f"{machine}: sold out")
            continue
        now = time.time()
        lease = make_lease(rental.spec.limits, machine.price_per_hour, now, rental.spent)
        # Until the lease is armed whoever sweeps may take it for an orphan once its start takes too long.
        tags = [OURS, run_tag(rental.run), expiry_tag(now + STARTUP_S)]
        name = _name(rental.run)
        where = {"region": machine.region, "size": machine.size, "image": _image(machine)}
        try:
            made = api.create({"name": name, "tags": tags, **where, **common})
        except NoStock as refused:
            log.info("%s: %s", machine, refused)
            tried.append(f"{machine}: {refused}")
            continue
        except (SpecError, CredentialsError):  # refused for good: there is nothing
            raise
        except BaseException:
            _sweep(api, name)
            raise
        return made, lease, machine
    raise ServiceUnavailable(
        f"no machine is to be had: {'; '.join(tried)}; `ten sizes` shows what is, resources.ordered "
        "says what to ask for"
    )


def _sweep(api: Api, name: str) -> None:
    """Destroy what a broken-off request may have made."""
    try:
        found = api.turned_up(name)
    except TenError as error:
        log.error("droplet %s: may have been made, and cannot be looked for (%s); look with `ten ps`", name, error)
        return
    for made in found:
        try_to_destroy(api, made)


def _wait_until_active(api: Api, droplet: Droplet, pause_s: float) -> Droplet:
    begun = time.monotonic()
    while True:
        found = api.droplet(droplet.id)
        if found is None and time.monotonic() > begun + SETTLE_S:
            raise ServiceUnavailable(f"droplet {droplet.name}: gone before it began; run the same command again")
        if found is not None and found.status == "active" and found.address is not None:
            return found
        if time.monotonic() > begun + ACTIVE_S:
            raise ServiceUnavailable(
                f"droplet {droplet.name}: still not active after {format_seconds(ACTIVE_S)}; try another region"
            )
        time.sleep(pause_s)


def _idle_s(limits: LimitSettings) -> float | None:
    """How long the droplet may do nothing: longer than the job, which ends itself with a checkpoint if it still can."""
    return None if limits.idle is None else parse_seconds(limits.idle) + parse_seconds(limits.stop_grace)


def _name(run: str) -> str:
    """A host's name that no other droplet has, so that it can be found by it."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in run.lower()).strip("-")
    return f"ten-{plain[:40]}-{secrets.token_hex(4)}"


def _image(machine: Candidate) -> str:
    """DigitalOcean's image with NVIDIA's driver and Docker, or plain Ubuntu where there is no GPU."""
    if not machine.is_gpu:
        return "ubuntu-24-04-x64"
    return "gpu-h100x8-base" if "x8-" in machine.size else "gpu-h100x1-base"
