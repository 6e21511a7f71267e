"""Keys: which of the account's SSH keys a droplet gets: those whose other half this machine has."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ten.errors import CredentialsError

_NAMED_BY = "TEN_SSH_KEY"


def choose_keys(account: Sequence[Mapping[str, Any]]) -> list[int]:
    """Ids of the account's keys with which this machine can log in: the one that TEN_SSH_KEY names (by name, id or
    fingerprint), else all it has.

    Raises CredentialsError where there is none: an image without a password is not even made without a key.
    """
    if named := os.environ.get(_NAMED_BY, "").strip():
        found = [int(key["id"]) for key in account if named in (str(key["id"]), key["name"], key["fingerprint"])]
        if not found:
            raise CredentialsError(f"{_NAMED_BY}={named}: the account has {_names(account)}")
        return found
    here = _public_keys()
    if found := [int(key["id"]) for key in account if _core(key["public_key"]) in here]:
        return found
    raise CredentialsError(
        f"the account has {_names(account)}, and this machine the other half of none of these; add ~/.ssh/id_*.pub "
        f"under Settings → Security in DigitalOcean's panel, or name a key with {_NAMED_BY}"
    )


def _public_keys() -> set[str]:
    """The keys of ~/.ssh and of the agent."""
    files = sorted(Path("~/.ssh").expanduser().glob("*.pub"))
    lines = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    try:
        agent = subprocess.run(["ssh-add", "-L"], capture_output=True, text=True, check=False, timeout=10)
        lines += agent.stdout.splitlines() if agent.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired):  # no agent, or one that asks somebody
        pass
    return {core for line in lines if (core := _core(line))}


def _core(line: str) -> str:
    """A public key without the comment behind it."""
    return " ".join(line.split()[:2])


def _names(account: Sequence[Mapping[str, Any]]) -> str:
    return "the SSH keys " + ", ".join(repr(key["name"]) for key in account) if account else "no SSH key"
