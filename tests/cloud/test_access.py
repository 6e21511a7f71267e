"""Which API is asked, with which token."""

import pytest

from ten.cloud.access import read_access, read_lease_token, read_url
from ten.errors import CredentialsError, SpecError


def test_either_name_of_the_token_will_do_and_none_is_an_error_that_lists_the_scopes() -> None:
    assert read_access({"DIGITALOCEAN_ACCESS_TOKEN": "secret-a"}).token_from == "DIGITALOCEAN_ACCESS_TOKEN"
    with pytest.raises(CredentialsError, match="droplet:create"):
        read_access({})


def test_a_token_is_not_shown_by_what_prints_it() -> None:
    access = read_access({"DIGITALOCEAN_TOKEN": "secret-a"})
    assert "secret-a" not in repr(access) + str(access)


@pytest.mark.parametrize("url", ["http://api.example.com", "ftp://localhost", "api.digitalocean.com"])
def test_a_token_is_never_sent_in_the_clear(url: str) -> None:
    with pytest.raises(SpecError, match="DIGITALOCEAN_API_URL"):
        read_url({"DIGITALOCEAN_API_URL": url})


def test_a_droplet_never_gets_the_token_that_made_it() -> None:
    with pytest.raises(CredentialsError, match="droplet:read droplet:delete"):
        read_lease_token({"DIGITALOCEAN_TOKEN": "secret-a", "DIGITALOCEAN_LEASE_TOKEN": "secret-a"})
    with pytest.raises(CredentialsError, match="--lease external"):
        read_lease_token({"DIGITALOCEAN_TOKEN": "secret-a"})
    assert read_lease_token({"DIGITALOCEAN_LEASE_TOKEN": "secret-b"}) == "secret-b"
