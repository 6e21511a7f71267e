"""The verbs about rented machines: up, ps, logs, ssh, down, reap, sizes."""

import argparse
import logging
import signal
import sys
import time

from ten.cloud.access import has_access, read_access
from ten.cloud.api import Api
from ten.cloud.machines import Droplet
from ten.cloud.rental import Rental, describe, plan_rental
from ten.cloud.ssh import Host
from ten.cloud.unit import NAME
from ten.errors import MissingInput, Resumable, ServiceUnavailable, SpecError, TenError
from ten.flags import store_address
from ten.job import JobSpec
from ten.runs_list import RunSummary, list_runs
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.units import format_seconds
from ten.verbs.jobs import job_of
from ten.verbs.terminal import as_json, show

log = logging.getLogger(__name__)
_BEFORE_RENTING = ("keys", "store", "second write", "clock", "tokenizer")
"""What the doctor looks at that is the same on a droplet."""


def up(arguments: argparse.Namespace) -> int:
    """Rent a droplet for a job and start it there."""
    from ten.cloud.forecast import forecast
    from ten.cloud.up import choose_lease_token, rent

    spec = job_of(arguments, "train")
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # else a closed terminal would leave a droplet behind
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    if arguments.dry_run:
        sizes = None
        if has_access():
            with Api(read_access()) as api:
                sizes = api.sizes()
        rental = plan_rental(spec, sizes, dry_run=True)
        show(describe(rental, forecast(spec, rental.candidates)))
        return 0
    with Api(read_access()) as api:
        token = choose_lease_token(arguments.lease)
        examine_before(spec)
        rental = plan_rental(spec, api.sizes())
        show(describe(rental, forecast(spec, rental.candidates)))
        _agree(rental, arguments.yes)
        rented = rent(api, rental, token)
    run, lease = rental.run, rented.lease
    show(
        f"{rented.droplet.name} at {rented.droplet.address} runs {run}: it ends within "
        f"{format_seconds(lease.expires - time.time())} and costs at most ${lease.dollars:.2f}\n"
        f"watch: ten logs {run} --follow    list: ten ps    end: ten down {run}"
    )
    if token is None:
        show("nothing but `ten down` or `ten reap` ends this droplet's bill: run one of them")
    return 0


def examine_before(spec: JobSpec) -> None:
    """Show what the doctor finds wrong that a droplet would find out for money; SpecError where anything fails."""
    from ten.doctor.examination import CHECKS, examine, exit_code
    from ten.doctor.report import describe_finding
    from ten.doctor.subject import Subject

    found = list(examine(Subject(spec), {name: CHECKS[name] for name in _BEFORE_RENTING}))
    for finding in found:
        if finding.status in ("warn", "fail"):
            show(describe_finding(finding))
    if exit_code(found):
        raise SpecError("nothing is rented: a droplet would find the same, for money; `ten doctor` looks again")


def ps(arguments: argparse.Namespace) -> int:
    """List our droplets."""
    from ten.cloud.listing import describe_live, live

    with Api(read_access()) as api:
        droplets = api.droplets()
    found = live(droplets, _runs(arguments) if droplets else {}, time.time())
    show(as_json(found) if arguments.json else describe_live(found))
    return 0


def logs(arguments: argparse.Namespace) -> int:
    """Show what a droplet's job says."""
    words = ["journalctl", "--unit", NAME, "--unit", "ten-lease.service", "--output", "cat", "--no-pager"]
    words += ["--lines", str(arguments.lines), *(["--follow"] if arguments.follow else [])]
    host = _host(arguments.which)
    try:
        return host.take_over(*words)
    except KeyboardInterrupt:
        return 0


def ssh(arguments: argparse.Namespace) -> int:
    """Log in to a droplet."""
    return _host(arguments.which).take_over(*arguments.command)


def down(arguments: argparse.Namespace) -> int:
    """End a droplet, once its newest checkpoint is proved."""
    from ten.cloud.down import choose, describe, take_down

    with Api(read_access()) as api:
        droplet = choose(api.droplets(), arguments.which)
        receipt = take_down(api, droplet, None if arguments.force else _store(arguments), arguments.force)
    show(as_json(receipt) if arguments.json else describe(receipt))
    return 0


def reap(arguments: argparse.Namespace) -> int:
    """Destroy what has outlived its lease; 69 while some of it is still there."""
    from ten.cloud import reap as reaping

    with Api(read_access()) as api:
        gone, left = reaping.reap(api, dry_run=arguments.dry_run)
    for droplet in left:
        show(f"{droplet.name}: over its lease" + (", would be destroyed" if arguments.dry_run else ", still there"))
    if not left:
        show(f"{len(gone)} droplets destroyed" if gone else "nothing has outlived its lease")
    return 0 if arguments.dry_run or not left else ServiceUnavailable.exit_code


def sizes(arguments: argparse.Namespace) -> int:
    """List what can be rented."""
    from ten.cloud.listing import describe_sizes

    found = None
    if has_access():
        with Api(read_access()) as api:
            found = api.sizes()
    show(as_json([one for one in found or () if one.gpu]) if arguments.json else describe_sizes(found))
    return 0


def _agree(rental: Rental, yes: bool) -> None:
    """Raise Resumable unless somebody says yes to the price."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise SpecError("up: nobody is here to say yes to that; pass --yes")
    worst = "a price nobody knows" if rental.worst is None else f"up to ${rental.worst:.2f}"
    sys.stdout.write(f"rent it, for {worst}? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Resumable("up: nothing was made")


def _host(which: str | None) -> Host:
    from ten.cloud.down import choose

    with Api(read_access()) as api:
        droplet: Droplet = choose(api.droplets(), which)
    return Host(droplet)


def _store(arguments: argparse.Namespace) -> Store:
    return open_store(store_address(arguments))


def _runs(arguments: argparse.Namespace) -> dict[str, RunSummary]:
    """The store's runs; a store that does not answer is no reason to hide what is billed."""
    try:
        return {run.run: run for run in list_runs(_store(arguments))}
    except MissingInput:  # no run has begun to write there
        return {}
    except TenError as error:
        log.warning("the store does not say how far the runs are: %s", error)
        return {}
