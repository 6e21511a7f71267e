"""Down: a droplet ended by hand: its job stopped, its newest checkpoint proved, then it is destroyed."""

import logging
import time
from collections.abc import Sequence

import msgspec

from ten.cloud import host as hosts
from ten.cloud.api import Api
from ten.cloud.ending import PROOF_S, destroy
from ten.cloud.machines import Droplet
from ten.cloud.ssh import Host
from ten.errors import MissingInput, Resumable, ServiceUnavailable, SpecError, StoreError
from ten.holdings.naming import Holding
from ten.holdings.verify import verify_newest
from ten.settings import nearest
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.units import format_seconds

log = logging.getLogger(__name__)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a droplet that is gone."""

    droplet: str
    run: str | None
    size: str
    region: str
    seconds: float
    cost: float | None
    """Dollars; None where its price is not known."""
    checkpoint: str | None
    """The one proved in the store."""


def choose(droplets: Sequence[Droplet], name: str | None) -> Droplet:
    """The droplet that a run's id, a name or a number means; without one, the only one."""
    if name is None:
        if len(droplets) == 1:
            return droplets[0]
        if not droplets:
            raise MissingInput("no droplet of ours is there: nothing is billed")
        raise SpecError(f"which one? {', '.join(one.run or one.name for one in droplets)}")
    for one in droplets:
        if name in (one.run, one.name, str(one.id)):
            return one
    known = [one.run or one.name for one in droplets]
    raise MissingInput(f"no droplet for {name!r}; {nearest(name, known) if known else 'none of ours is there'}")


def take_down(api: Api, droplet: Droplet, store: Store | None, force: bool, within_s: float = PROOF_S) -> Receipt:
    """Destroy a droplet once nothing is lost by it, and prove that it is gone.

    `store` is where its run is looked for if the droplet does not say where its job sends it; None with `force` alone.
    Raises StoreError where its newest checkpoint is not proved there, or not known, and `force` is not given.
    """
    proved = None
    if not force:
        proved = _prove(api, droplet, store)
    else:
        log.warning("droplet %s: nothing is checked; what is on its disk alone is lost", droplet.name)
    destroy(api, droplet, within_s)
    now = time.time()
    return Receipt(
        droplet=droplet.name,
        run=droplet.run,
        size=droplet.size,
        region=droplet.region,
        seconds=droplet.age_s(now),
        cost=droplet.cost(now),
        checkpoint=proved,
    )


def describe(receipt: Receipt) -> str:
    """A receipt for people."""
    cost = "cost unknown" if receipt.cost is None else f"${receipt.cost:.2f}"
    kept = f"; newest checkpoint {receipt.checkpoint}, every byte read back" if receipt.checkpoint else ""
    where = f"{receipt.size} in {receipt.region}"
    return f"droplet {receipt.droplet} ({where}) is gone after {format_seconds(receipt.seconds)}: {cost}{kept}"


def _prove(api: Api, droplet: Droplet, store: Store | None) -> str | None:
    """The newest checkpoint, read back from the store; None where there never was one. Raises StoreError."""
    run = droplet.run
    if run is None or store is None:
        raise StoreError(f"droplet {droplet.name}: {_UNKNOWN}; {_FORCE}")
    try:
        here, address = _stop(droplet, run)
    except ServiceUnavailable as error:
        if api.droplet(droplet.id) is None:  # its lease was faster, and has proved nothing
            log.warning("droplet %s: gone already", droplet.name)
            return None
        raise StoreError(f"{error}; what is on its disk alone cannot be known; {_FORCE}") from None
    if address is not None and address.rstrip("/") != store.url:
        log.info("run %s: its job sends it to %s", run, address)
        store = open_store(address)
    found = verify_newest(store, Holding(kind="run", name=run, prefix=f"runs/{run}"))
    if found is None:
        if here is None:
            return None
        raise StoreError(f"run {run}: no checkpoint in {store.url}; is that its store? Name it with --store; {_FORCE}")
    step, audit = found
    if audit.damaged:
        raise StoreError(f"run {run}: {audit.damaged[0].damage}; {_FORCE}")
    if here is not None and step < here:
        raise StoreError(
            f"run {run}: step {here} is on the droplet's disk and {store.url} has only step {step}; `ten ssh {run}` "
            f"and `systemctl start ten-job` there sends it, or: {_FORCE}"
        )
    return f"{store.url}/runs/{run}/checkpoints/step-{step:08d}"


_UNKNOWN = "it does not say whose run it is for"
_FORCE = "--force destroys it all the same"


def _stop(droplet: Droplet, run: str) -> tuple[int | None, str | None]:
    """Stop the job; the newest step on the droplet's disk, and the store that it is sent to."""
    host = Host(droplet)
    log.info("%s: stopping its job", host)
    hosts.stop(host)
    code = hosts.exit_code(host)
    if code not in (None, 0, Resumable.exit_code):
        log.warning("%s: the job ended with %d; `ten logs %s` says why", host, code, run)
    return hosts.newest_step(host, run), hosts.store_address(host)
