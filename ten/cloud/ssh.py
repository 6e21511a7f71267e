"""Ssh: commands on a droplet through this system's own ssh client; what is secret goes through its standard input."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ten.cloud.machines import Droplet
from ten.errors import ServiceUnavailable

_USER = "root"
_KNOWN = "~/.cache/ten/known_hosts"
_NO_SSH = "ssh: not installed here; install OpenSSH's client"
_LOST = 255
"""ssh's exit code where ssh itself failed, and not the command there."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """How a command there ended."""

    code: int
    out: str
    error: str


class Host:
    """A droplet one can log in to. Methods raise ServiceUnavailable where that fails."""

    def __init__(self, droplet: Droplet) -> None:
        if droplet.address is None:
            raise ServiceUnavailable(f"droplet {droplet.name}: has no address yet; wait, or `ten ps`")
        self.droplet, self.address = droplet, droplet.address

    def words(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        """The command line that runs a command there. Its host key is trusted at first sight and remembered."""
        known = Path(_KNOWN).expanduser()
        known.parent.mkdir(parents=True, exist_ok=True)
        return [
            "ssh", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
            "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known}",
            "-o", f"HostKeyAlias=ten-{self.droplet.id}", "-o", "LogLevel=ERROR", *options,
            f"{_USER}@{self.address}", *command,
        ]  # fmt: skip

    def run(self, script: str, given: str = "", within_s: float = 120.0) -> Said:
        """Run a shell script there with `given` as its input. Nobody is asked for a password."""
        words = self.words(script, options=["-o", "BatchMode=yes"])
        try:
            done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=within_s, check=False)
        except FileNotFoundError:
            raise ServiceUnavailable(_NO_SSH) from None
        except subprocess.TimeoutExpired:
            raise ServiceUnavailable(f"{self}: no end after {within_s:.0f}s of: {_first(script)}") from None
        if done.returncode == _LOST:
            raise ServiceUnavailable(f"{self}: {_last(done.stderr)}")
        return Said(code=done.returncode, out=done.stdout, error=done.stderr)

    def must(self, script: str, given: str = "", within_s: float = 120.0) -> str:
        """What a script there prints. Raises ServiceUnavailable where it fails."""
        said = self.run(script, given, within_s)
        if said.code:
            raise ServiceUnavailable(f"{self}: {_first(script)}: ended with {said.code}: {_last(said.error)}")
        return said.out

    def take_over(self, *command: str) -> int:
        """Run a command there on this terminal, to its end; its exit code."""
        terminal = ["-t"] if not command else []
        try:
            return subprocess.run(self.words(*command, options=terminal), check=False).returncode
        except FileNotFoundError:
            raise ServiceUnavailable(_NO_SSH) from None

    def __str__(self) -> str:
        return f"ssh {_USER}@{self.address} ({self.droplet.name})"


def _first(script: str) -> str:
    return script.strip().splitlines()[0][:100]


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "no reason given"
