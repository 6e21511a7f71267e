"""Renting: the order of things on a droplet, and that nothing is left behind."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from ten.cloud import host as hosts
from ten.cloud import up as renting
from ten.cloud.api import Api
from ten.cloud.host_files import user_data
from ten.cloud.rental import Rental, plan_rental
from ten.cloud.tags import expiry_of, run_tag
from ten.cloud.up import Rented, choose_lease_token, rent
from ten.data.settings import DataSettings
from ten.errors import CredentialsError, ServiceUnavailable, SpecError
from ten.job import JobSpec, LimitSettings
from tests.standins.digitalocean import CANARIES, LEASE_TOKEN, DigitalOcean
from tests.standins.digitalocean_computer import Computer
from tests.standins.digitalocean_faults import ApiFault
from tests.standins.s3 import CANARIES as STORE_CANARIES


def rented(api: Api, spec: JobSpec, lease_token: str | None = LEASE_TOKEN) -> Rented:
    return rent(api, planned(api, spec), lease_token, pause_s=0.02)


def planned(api: Api, spec: JobSpec) -> Rental:
    return plan_rental(spec, api.sizes())


def computer(account: DigitalOcean) -> Computer:
    (machine,) = account.machines.values()
    assert machine.computer is not None
    return machine.computer


def commands(account: DigitalOcean) -> list[str]:
    """What was run on droplets, in order."""
    assert account.folder is not None
    return [json.loads(line)[-1] for line in (account.folder / "ssh.log").read_text().splitlines()]


def everything_but_secrets(account: DigitalOcean, tmp_path: Path) -> bytes:
    """All files of this machine and of droplets but the two that hold secrets, and all that was asked of the API."""
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in files if path.name not in ("env", "lease.token")]
    return b"".join(kept) + "".join(str(request) for request in account.log).encode()


def test_a_droplet_is_told_its_end_before_its_image_is_pulled(account: DigitalOcean, api: Api, spec: JobSpec) -> None:
    account.new_polls = 3
    done = rented(api, spec)
    told = commands(account)
    first = {name: next(i for i, it in enumerate(told) if name in it)
             for name in ("ten-lease.timer", "/run/ten/env", "docker pull", "start ten-job")}  # fmt: skip
    assert list(first) == sorted(first, key=lambda name: first[name])
    (machine,) = account.machines.values()
    lease = json.loads(computer(account).path("/var/lib/ten/lease.json").read_text())
    assert lease["droplet"] == machine.id and lease["deadline"] == pytest.approx(done.lease.deadline, abs=5)
    assert {"ten", run_tag("r")} <= set(machine.tags)
    assert expiry_of(machine.tags) == pytest.approx(done.lease.expires, abs=5)
    assert machine.body["image"] == "gpu-h100x1-base" and machine.body["ssh_keys"] == [512189]


def test_secrets_are_in_two_files_of_root_and_nowhere_else(
    account: DigitalOcean, api: Api, spec: JobSpec, tmp_path: Path
) -> None:
    rented(api, spec)
    box = computer(account)
    environment, token = box.path("/run/ten/env"), box.path("/var/lib/ten/lease.token")
    assert STORE_CANARIES[1] in environment.read_text() and token.read_text() == LEASE_TOKEN
    assert (environment.stat().st_mode & 0o777, token.stat().st_mode & 0o777) == (0o600, 0o600)
    left = everything_but_secrets(account, tmp_path)
    assert not [canary for canary in (*CANARIES, *STORE_CANARIES) if canary.encode() in left]


def test_the_next_machine_is_taken_where_the_first_is_sold_out(account: DigitalOcean, api: Api, spec: JobSpec) -> None:
    rental = planned(api, spec)
    account.sizes[1]["regions"] = []  # sold out between the look and the request
    done = rent(api, rental, LEASE_TOKEN, pause_s=0.02)
    assert (done.machine.size, done.machine.region) == ("gpu-6000adax1-48gb", "tor1")
    assert [request.status for request in account.asked("POST", "/v2/droplets")] == [422, 202]


def test_nothing_in_stock_says_what_was_tried(account: DigitalOcean, api: Api, spec: JobSpec) -> None:
    for size in account.sizes:
        size["regions"] = []
    with pytest.raises(ServiceUnavailable, match="no machine is to be had: gpu-l40sx1-48gb: sold out; gpu-6000ada"):
        rented(api, spec)
    assert not account.asked("POST")


@pytest.mark.parametrize("step", ["pull", "boot", "tag", "start"])
def test_a_failure_on_the_way_leaves_no_droplet_behind(
    account: DigitalOcean, api: Api, spec: JobSpec, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "pull":
        spec = msgspec.structs.replace(spec, image="registry.example.com/me/missing")
    if step == "boot":
        monkeypatch.setattr(Computer, "_boot", _failing_boot(Computer._boot))
    if step == "tag":
        account.faults.add([ApiFault(match="POST /v2/tags", status=403, message="no")])
    if step == "start":
        monkeypatch.setattr(renting, "job_unit", lambda *_: "[Service]\nExecStart=\n")
        monkeypatch.setattr(hosts, "start", _interrupted)
    with pytest.raises((ServiceUnavailable, CredentialsError, KeyboardInterrupt)):
        rented(api, spec)
    assert not account.machines and account.asked("DELETE")


def _failing_boot(boot: object) -> object:
    def failing(self: Computer) -> None:
        boot(self)  # type: ignore[operator]
        (self.folder / "boot-failed").touch()

    return failing


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_lease_goes_by_the_droplets_clock_however_wrong_ours_is(
    account: DigitalOcean, api: Api, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    rental, right, ahead_s = planned(api, spec), time.time, 5 * 3600.0
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    done = rent(api, rental, LEASE_TOKEN, pause_s=0.02)
    lease = json.loads(computer(account).path("/var/lib/ten/lease.json").read_text())
    assert lease["deadline"] == pytest.approx(done.lease.deadline - ahead_s, abs=30)
    assert lease["start_by"] == pytest.approx(right() + hosts.PULL_S, abs=60)


def test_a_lease_that_does_not_run_is_found_before_the_image_is_pulled(
    account: DigitalOcean, api: Api, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renting, "user_data", lambda: user_data().replace("import json", "import missing_here"))
    with pytest.raises(ServiceUnavailable, match=r"ten-lease\.service"):
        rented(api, spec)
    assert not account.machines and not [command for command in commands(account) if "docker pull" in command]


def test_a_token_that_could_not_end_a_droplet_is_found_before_there_is_one(
    account: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_lease_token("droplet") == LEASE_TOKEN
    account.forbidden = ("DELETE /v2/droplets",)
    with pytest.raises(
        CredentialsError, match=r"DIGITALOCEAN_LEASE_TOKEN may not do that.*droplet:read droplet:delete"
    ):
        choose_lease_token("droplet")
    monkeypatch.setenv("DIGITALOCEAN_LEASE_TOKEN", "dop_v1_old")
    with pytest.raises(CredentialsError, match="DIGITALOCEAN_LEASE_TOKEN is not accepted"):
        choose_lease_token("droplet")


def test_what_cannot_be_destroyed_is_named_with_its_price(
    account: DigitalOcean, api: Api, spec: JobSpec, caplog: pytest.LogCaptureFixture
) -> None:
    account.faults.add([ApiFault(match="POST /v2/tags", status=403), ApiFault(match="DELETE", status=500, count=-1)])
    with pytest.raises(CredentialsError):
        rented(api, spec)
    (machine,) = account.machines.values()
    assert f"destroying droplet {machine.id}" in caplog.text and "ten reap" in caplog.text
    assert any(tag.startswith("ten-expires-") for tag in machine.tags)


def test_a_droplet_that_may_have_been_made_is_looked_for_or_named(
    account: DigitalOcean, api: Api, spec: JobSpec, caplog: pytest.LogCaptureFixture
) -> None:
    rental = planned(api, spec)
    account.faults.add([ApiFault("unanswered", match="POST /v2/droplets")])
    account.faults.add([ApiFault(match="GET /v2/droplets", after=2, count=-1)])
    with pytest.raises(ServiceUnavailable):
        rent(api, rental, LEASE_TOKEN, pause_s=0.02)
    (machine,) = account.machines.values()
    assert f"droplet {machine.body['name']}: may have been made" in caplog.text


def test_a_run_has_one_droplet(account: DigitalOcean, api: Api, spec: JobSpec) -> None:
    account.add(tags=["ten", run_tag("r")])
    with pytest.raises(SpecError, match="droplet ten-r-1 is there for it"):
        rented(api, spec)
    assert not account.asked("POST")


def test_a_missing_secret_is_found_before_a_dollar_is_spent(
    account: DigitalOcean, api: Api, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPACES_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match="SPACES_SECRET_ACCESS_KEY"):
        rented(api, spec)
    assert not account.asked("POST")


def test_an_account_without_our_key_is_told_so(account: DigitalOcean, api: Api, spec: JobSpec) -> None:
    account.keys[0]["public_key"] = "ssh-ed25519 AAAAsomebody-elses"
    with pytest.raises(CredentialsError, match="the SSH keys 'laptop'"):
        rented(api, spec)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"store": "ten-data"}, "a droplet's disk is gone with it"),
        ({"image": None}, "push yours to a registry"),
        ({"limits": LimitSettings()}, "billed for ever"),
        ({"secrets": ()}, "names no keys"),
        ({"data": DataSettings(tokenizer="own/tokenizer.json")}, "a file of this machine"),
        ({"data": DataSettings(dataset="books/*.txt"), "mode": "streaming"}, "`ten pack` it into"),
    ],
)
def test_a_job_that_must_not_be_rented_for_is_refused(
    api: Api, spec: JobSpec, change: dict[str, object], said: str
) -> None:
    with pytest.raises((SpecError, CredentialsError), match=said):
        planned(api, msgspec.structs.replace(spec, **change))


def test_a_lease_kept_from_outside_puts_no_token_on_the_droplet(account: DigitalOcean, api: Api, spec: JobSpec) -> None:
    rented(api, spec, lease_token=None)
    assert not computer(account).path("/var/lib/ten/lease.token").exists()


def test_the_job_goes_along_with_its_price_and_what_is_left_of_its_budget(
    account: DigitalOcean, api: Api, spec: JobSpec
) -> None:
    done = rented(api, msgspec.structs.replace(spec, limits=LimitSettings(max_cost=12.0)))
    job = json.loads(computer(account).path("/var/lib/ten/job/job.yaml").read_text())
    assert job["resources"]["price_per_hour"] == 1.57 and job["run"] == "r"
    assert 11 < job["limits"]["max_cost"] < 12
    assert done.lease.dollars == pytest.approx(12.0)


def test_a_job_that_fails_takes_its_droplet_with_it_only_after_a_look(
    account: DigitalOcean, api: Api, spec: JobSpec
) -> None:
    rented(api, spec)  # there is no pack: the job ends with an error
    box = computer(account)
    until, state = time.monotonic() + 60, box.path("/run/ten/lease-state.json")
    while not state.exists() or "ended" not in state.read_text():
        assert time.monotonic() < until, box.journal
        time.sleep(0.05)
    assert account.machines
