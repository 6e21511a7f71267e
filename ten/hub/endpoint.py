"""Endpoint: which hub this process talks to, with which token, or that it must not talk to any."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ten.errors import CredentialsError, SpecError

PUBLIC_HUB = "https://huggingface.co"
_TRUE = {"1", "on", "yes", "true"}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the hub is. The token is in no repr: it leaves this process in one header, to one origin."""

    url: str = PUBLIC_HUB
    """Scheme, host and, for a mirror, a path; no slash at the end."""
    offline: bool = False
    """Nothing may be asked for: what is not in a cache is missing."""
    token: str | None = None
    token_source: str = ""
    """The variable or file the token was read from, for messages."""

    def __repr__(self) -> str:
        token = f"from {self.token_source or 'its maker'}" if self.token else "none"
        return f"Endpoint(url={self.url!r}, offline={self.offline}, token: {token})"


def read_endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The hub the environment names: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_TOKEN_PATH, HF_HOME as hub clients do.

    Raises SpecError for an address that is none and CredentialsError for a token that cannot be read or be one.
    """
    token, source = _read_token(environment)
    return Endpoint(
        url=_checked_url(environment.get("HF_ENDPOINT", "").strip() or PUBLIC_HUB),
        offline=environment.get("HF_HUB_OFFLINE", "").strip().lower() in _TRUE,
        token=token,
        token_source=source,
    )


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        raise SpecError(f"HF_ENDPOINT is no address of a hub; write {PUBLIC_HUB} or unset it") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise SpecError(f"HF_ENDPOINT: give {PUBLIC_HUB} or another https://host[/path], without user, ? or #")
    if not known or any(letter.isspace() for letter in text):
        raise SpecError(f"HF_ENDPOINT={text!r} is no address of a hub; write {PUBLIC_HUB} or unset it")
    return text.rstrip("/")


def _read_token(environment: Mapping[str, str]) -> tuple[str | None, str]:
    source = "HF_TOKEN"
    token = environment.get(source, "").strip()
    if not token:
        path = _token_path(environment)
        source = str(path)
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None, ""
        except (OSError, UnicodeDecodeError):
            raise CredentialsError(
                f"{path}: the hub token in it cannot be read; mend the file, remove it or set HF_TOKEN"
            ) from None
    if not token:
        return None, ""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise CredentialsError(f"{source}: holds letters that no hub token has; copy the token again or unset it")
    return token, source


def _token_path(environment: Mapping[str, str]) -> Path:
    if environment.get("HF_TOKEN_PATH"):
        return Path(environment["HF_TOKEN_PATH"]).expanduser()
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "token"
