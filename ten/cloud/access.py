"""Access: which API is asked, with which token; the token that a droplet gets to end itself."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from ten.errors import CredentialsError, SpecError

URL = "https://api.digitalocean.com"
_TOKENS = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
_LEASE_TOKEN = "DIGITALOCEAN_LEASE_TOKEN"
_NEAR = ("localhost", "127.0.0.1", "::1")
SCOPES = (
    "sizes:read regions:read image:read ssh_key:read tag:create tag:read droplet:create droplet:read droplet:delete"
)
"""What the token of `ten up` must be allowed to."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An API and the key to it. What prints it prints where the key is from."""

    url: str
    token: str
    token_from: str
    scopes: str = SCOPES
    """What the token must be allowed to."""

    def __repr__(self) -> str:
        return f"Access({self.url}, {self.token_from})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("url", self.url), ("token_from", self.token_from)]


def read_url(environment: Mapping[str, str] = os.environ) -> str:
    """The API's address: DIGITALOCEAN_API_URL, else DigitalOcean's own.

    Raises SpecError for one that would carry the token in the clear to another machine.
    """
    url = environment.get("DIGITALOCEAN_API_URL", "").strip().rstrip("/") or URL
    parts = urlsplit(url)
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in _NEAR):
        return url
    raise SpecError(f"DIGITALOCEAN_API_URL: no address that may see a token; unset it, or write one such as {URL}")


def read_access(environment: Mapping[str, str] = os.environ) -> Access:
    """What the environment says. Raises CredentialsError without a token, and what `read_url` raises."""
    for name in _TOKENS:
        if token := environment.get(name, "").strip():
            return Access(url=read_url(environment), token=token, token_from=name)
    raise CredentialsError(
        f"no token for DigitalOcean: set {_TOKENS[0]}, here or in .env; make one under API in its panel with the "
        f"scopes {SCOPES}"
    )


def lease_access(url: str, token: str) -> Access:
    """The same API as the droplet reaches it."""
    return Access(url=url, token=token, token_from=_LEASE_TOKEN, scopes="droplet:read droplet:delete")


def has_access(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a token."""
    return any(environment.get(name, "").strip() for name in _TOKENS)


def read_lease_token(environment: Mapping[str, str] = os.environ) -> str:
    """The token with which a droplet destroys itself. Raises CredentialsError where none is set, or one that is no less
    powerful than our own."""
    token = environment.get(_LEASE_TOKEN, "").strip()
    if not token:
        raise CredentialsError(
            f"{_LEASE_TOKEN} is not set: the droplet needs a token of its own to destroy itself when the job is over; "
            "make one with the scopes droplet:read droplet:delete alone. Or pass --lease external: then nothing but "
            "`ten down` and `ten reap` ends the bill"
        )
    if any(environment.get(name, "").strip() == token for name in _TOKENS):
        raise CredentialsError(
            f"{_LEASE_TOKEN} is the token that also creates droplets; a droplet gets one with the scopes droplet:read "
            "droplet:delete alone"
        )
    return token
