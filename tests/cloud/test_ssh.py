"""Commands on a droplet."""

import pytest

from ten.cloud.machines import Droplet
from ten.cloud.ssh import Host
from ten.errors import ServiceUnavailable
from tests.standins.digitalocean import DigitalOcean


@pytest.fixture
def host(account: DigitalOcean) -> Host:
    """A droplet that answers."""
    machine = account.add(user_data="")
    account.look(machine.id)
    return Host(droplet(machine.id, machine.address))


def droplet(number: int, address: str | None) -> Droplet:
    return Droplet(
        id=number, name="d", status="active", address=address, size="s", region="r", price_per_hour=None, created=0.0,
        tags=(),
    )  # fmt: skip


def test_input_goes_along_and_output_comes_back(host: Host) -> None:
    assert host.must("cat; echo more", given="secret ") == "secret more\n"


def test_a_command_that_fails_is_told_from_a_host_that_does_not_answer(host: Host) -> None:
    assert host.run("exit 3").code == 3
    with pytest.raises(ServiceUnavailable, match=r"ended with 3: oh no"):
        host.must("echo oh no >&2; exit 3")
    with pytest.raises(ServiceUnavailable, match="Connection refused"):
        Host(droplet(1, "203.0.113.250")).run("true")


def test_a_command_without_an_end_is_given_up(host: Host) -> None:
    with pytest.raises(ServiceUnavailable, match="no end after 1s of: sleep 20"):
        host.must("sleep 20", within_s=1.0)


def test_a_droplet_without_an_address_cannot_be_asked(account: DigitalOcean) -> None:
    with pytest.raises(ServiceUnavailable, match="no address yet"):
        Host(droplet(1, None))


def test_nobody_is_asked_for_a_password_and_the_host_key_has_the_droplets_name(host: Host) -> None:
    words = host.words("true", options=["-o", "BatchMode=yes"])
    assert "BatchMode=yes" in words and f"HostKeyAlias=ten-{host.droplet.id}" in words
