"""Ending a droplet by hand: nothing is lost by it, and that it is gone is proved."""

from pathlib import Path

import pytest

from ten.cloud import ending
from ten.cloud.api import Api
from ten.cloud.down import Receipt, choose, describe, take_down
from ten.cloud.host_files import user_data
from ten.cloud.machines import Droplet
from ten.cloud.tags import run_tag
from ten.errors import MissingInput, ServiceUnavailable, SpecError, StoreError
from ten.store.local import LocalStore
from ten.train.checkpoint_files import publish
from tests.standins.digitalocean import DigitalOcean, Machine
from tests.standins.digitalocean_computer import Computer

UNIT = "[Service]\nExecStart=direct python -c pass\n"
QUICK = 2.0
"""Seconds that a droplet has to go."""


@pytest.fixture
def machine(account: DigitalOcean) -> Machine:
    """A droplet whose job has been started."""
    machine = account.add(user_data=user_data(), tags=["ten", run_tag("r")])
    account.look(machine.id)
    computer_of(machine).path("/etc/systemd/system/ten-job.service").write_text(UNIT)
    return machine


def computer_of(machine: Machine) -> Computer:
    assert machine.computer is not None
    return machine.computer


def droplet_of(api: Api) -> Droplet:
    (droplet,) = api.droplets()
    return droplet


def saved(folder: Path, step: int) -> Path:
    return publish(folder / "r" / "checkpoints", step, {"model": lambda: [b"weights" * 100]}, expected_bytes=700)


def test_a_droplet_goes_when_its_newest_checkpoint_has_been_read_back(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    saved(tmp_path / "store" / "runs", 3)
    saved(computer_of(machine).path("/var/lib/ten/data") / "cache" / "runs" / "x", 3)
    receipt = take_down(api, droplet_of(api), LocalStore(tmp_path / "store"), force=False, within_s=QUICK)
    assert receipt.checkpoint == f"{LocalStore(tmp_path / 'store').url}/runs/r/checkpoints/step-00000003"
    assert receipt.run == "r" and receipt.cost is not None
    assert not account.machines
    assert "is gone after" in describe(receipt) and "every byte read back" in describe(receipt)


def test_a_step_that_is_on_the_droplet_alone_keeps_it(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    saved(tmp_path / "store" / "runs", 3)
    saved(computer_of(machine).path("/var/lib/ten/data") / "cache" / "runs" / "x", 4)
    with pytest.raises(StoreError, match=r"step 4 is on the droplet's disk and .* has only step 3"):
        take_down(api, droplet_of(api), LocalStore(tmp_path / "store"), force=False, within_s=QUICK)
    assert account.machines and not account.asked("DELETE")


def test_a_damaged_checkpoint_keeps_it_and_force_does_not(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    folder, store = saved(tmp_path / "store" / "runs", 3), LocalStore(tmp_path / "store")
    (folder / "model").write_bytes(b"WEIGHTS" * 100)
    with pytest.raises(StoreError, match="sha256"):
        take_down(api, droplet_of(api), store, force=False, within_s=QUICK)
    assert account.machines
    assert take_down(api, droplet_of(api), None, force=True, within_s=QUICK).checkpoint is None
    assert not account.machines


def test_an_earlier_damaged_checkpoint_does_not_matter(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    first = saved(tmp_path / "store" / "runs", 2)
    saved(tmp_path / "store" / "runs", 3)
    (first / "model").write_bytes(b"")
    take_down(api, droplet_of(api), LocalStore(tmp_path / "store"), force=False, within_s=QUICK)
    assert not account.machines


def test_a_run_that_never_saved_holds_nothing_up(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    assert (
        take_down(api, droplet_of(api), LocalStore(tmp_path / "store"), force=False, within_s=QUICK).checkpoint is None
    )
    assert not account.machines


def test_a_droplet_that_does_not_answer_may_have_what_the_store_has_not(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    computer_of(machine).off()
    saved(tmp_path / "store" / "runs", 3)
    with pytest.raises(StoreError, match="on its disk alone cannot be known; --force"):
        take_down(api, droplet_of(api), LocalStore(tmp_path / "store"), force=False, within_s=QUICK)
    assert account.machines and not account.asked("DELETE")


def test_a_droplet_that_its_lease_ends_meanwhile_is_gone(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    droplet = droplet_of(api)
    account.kill(machine.id)
    assert take_down(api, droplet, LocalStore(tmp_path), force=False, within_s=QUICK).checkpoint is None


def test_the_store_is_the_one_that_the_job_sends_to_whatever_is_named_here(
    api: Api, account: DigitalOcean, machine: Machine, tmp_path: Path
) -> None:
    saved(tmp_path / "here" / "runs", 9)  # another run of that name, of long ago
    saved(computer_of(machine).path("/var/lib/ten/data") / "cache" / "runs" / "x", 4)
    (computer_of(machine).path("/var/lib/ten/job") / "job.yaml").write_text(f'{{"store": "{tmp_path}/there"}}')
    with pytest.raises(StoreError, match=r"no checkpoint in .*there"):
        take_down(api, droplet_of(api), LocalStore(tmp_path / "here"), force=False, within_s=QUICK)
    assert account.machines


def test_an_accepted_request_is_no_proof_and_is_repeated(
    api: Api, account: DigitalOcean, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.deaf = 1
    take_down(api, droplet_of(api), None, force=True, within_s=3.0)
    assert len(account.asked("DELETE")) == 2 and not account.machines


def test_a_droplet_that_stays_is_named_with_its_price(api: Api, account: DigitalOcean, machine: Machine) -> None:
    machine.deaf = -1
    with pytest.raises(ServiceUnavailable, match=r"\$1.57 an hour\) is still there"):
        ending.destroy(api, droplet_of(api), within_s=0.5, pause_s=0.02)


def test_a_droplet_is_chosen_by_run_name_or_number_and_never_guessed(api: Api, account: DigitalOcean) -> None:
    with pytest.raises(MissingInput, match="nothing is billed"):
        choose(api.droplets(), None)
    one, two = account.add(tags=["ten", run_tag("a.b")]), account.add(name="ten-b", tags=["ten", run_tag("b")])
    droplets = api.droplets()
    assert choose(droplets, "a.b").id == one.id
    assert choose(droplets, "ten-b").id == choose(droplets, str(two.id)).id == two.id
    with pytest.raises(SpecError, match=r"which one\? a.b, b"):
        choose(droplets, None)
    with pytest.raises(MissingInput, match=r"did you mean 'a\.b'"):
        choose(droplets, "a.c")


def test_a_receipt_says_when_the_price_is_not_known() -> None:
    receipt = Receipt(droplet="d", run=None, size="s", region="r", seconds=90.0, cost=None, checkpoint=None)
    assert describe(receipt) == "droplet d (s in r) is gone after 1m 30s: cost unknown"
