"""Host: what is done on a fresh droplet, in this order: it answers, its lease is armed, secrets, image, job."""

import time
from collections.abc import Mapping
from shlex import quote

import msgspec

from ten.cloud.carried import as_file
from ten.cloud.lease import Lease
from ten.cloud.ssh import Host
from ten.cloud.unit import ENVIRONMENT, JOB, JOB_FILE, NAME
from ten.errors import ServiceUnavailable
from ten.units import format_seconds

LEASE, TOKEN = "/var/lib/ten/lease.json", "/var/lib/ten/lease.token"
"""On the disk, which is destroyed with the droplet: after a reboot the lease must still be able to end it."""
ANSWER_S, BOOT_S, PULL_S = 10 * 60.0, 15 * 60.0, 60 * 60.0
_ASK_EVERY_S, _LONGEST_STOP_S = 3.0, 24 * 3600.0
_LEASE, _TIMER = "ten-lease.service", "ten-lease.timer"


class ArmedLease(msgspec.Struct, frozen=True, kw_only=True):
    """What the lease script of a droplet reads; infra/lease.py knows these names."""

    droplet: int
    api: str
    boot_id: str
    """Of the boot that the job's secrets live in. After another one there is no job to wait for."""
    deadline: float
    start_by: float
    """When a droplet whose job was never started is given up: whoever made it did not come back."""
    stop_grace_s: float
    idle_s: float | None
    linger_s: float
    """How long a job that failed stays to be looked at."""


def wait_until_it_answers(host: Host, within_s: float = ANSWER_S, pause_s: float = _ASK_EVERY_S) -> None:
    """Wait for ssh, then for the first boot's work. Raises ServiceUnavailable when patience is over."""
    until = time.monotonic() + within_s
    while True:
        try:
            host.must("true", within_s=30)
            said = host.run("cloud-init status --wait", within_s=BOOT_S)  # a first boot may end its own ssh server
            break
        except ServiceUnavailable as error:
            if time.monotonic() > until:
                raise ServiceUnavailable(f"{error}; no answer within {format_seconds(within_s)}") from None
            time.sleep(pause_s)
    if said.code == 1:
        raise ServiceUnavailable(f"{host}: its first boot failed: {said.out.strip()[:300]}; cloud-init's log says why")


def arm(host: Host, lease: Lease, api: str, token: str | None, idle_s: float | None, linger_s: float) -> float:
    """Start the timer that ends the droplet, and see that what it runs does run. Without `token` it only stops the job.

    Returns by how many seconds the droplet's clock, which the lease goes by, is ahead of ours.
    """
    boot, clock = host.must("cat /proc/sys/kernel/random/boot_id && date +%s.%N").split()
    skew = float(clock) - time.time()
    armed = ArmedLease(
        droplet=host.droplet.id,
        api=api,
        boot_id=boot,
        deadline=lease.deadline + skew,
        start_by=float(clock) + PULL_S,
        stop_grace_s=lease.stop_grace_s,
        idle_s=idle_s,
        linger_s=linger_s,
    )
    if token is not None:
        _put(host, TOKEN, token)
    _put(host, LEASE, msgspec.json.encode(armed).decode())
    host.must(f"systemctl start {_LEASE} && systemctl enable --now {_TIMER} && systemctl is-active {_TIMER}")
    return skew


def give_secrets(host: Host, values: Mapping[str, str]) -> None:
    """Put variables where only root of the droplet reads them, in memory: they are gone with its power."""
    _put(host, ENVIRONMENT, as_file(values))


def pull(host: Host, image: str) -> None:
    """Bring the image there."""
    host.must(f"docker pull --quiet {quote(image)}", within_s=PULL_S)


def start(host: Host, unit: str, job: str) -> None:
    """Start the job's unit; it lives on when we are gone. Raises ServiceUnavailable where it does not start."""
    _put(host, f"{JOB}/{JOB_FILE}", job, mode="0644")
    _put(host, f"/etc/systemd/system/{NAME}", unit, mode="0644")
    host.must(f"systemctl daemon-reload && systemctl start {NAME}", within_s=300)


def stop(host: Host) -> None:
    """Stop the job, and wait for its checkpoint: its unit says how long that may take, and ssh notices a lost host."""
    host.must(f"systemctl stop {NAME}", within_s=_LONGEST_STOP_S)


def exit_code(host: Host) -> int | None:
    """What the job ended with; None where it has not been started or is running."""
    said = host.must(f"systemctl show {NAME} --property=ActiveState,ExecMainStatus,ExecMainStartTimestampMonotonic")
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if facts.get("ActiveState") in ("active", "activating", "deactivating"):
        return None
    if facts.get("ExecMainStartTimestampMonotonic", "0") in ("", "0"):
        return None
    return int(facts.get("ExecMainStatus") or 0)


def store_address(host: Host) -> str | None:
    """Where the job sends its run; None where none has been started."""
    said = host.must(f"cat {JOB}/{JOB_FILE} 2>/dev/null || true")
    return msgspec.json.decode(said, type=_Stored).store if said.strip() else None


class _Stored(msgspec.Struct):
    """What is looked at of a job."""

    store: str


def newest_step(host: Host, run: str) -> int | None:
    """Step of the newest complete checkpoint on the droplet's disk; None where there is none."""
    pattern = quote(f"*/{run}/checkpoints/step-*/COMPLETE")
    said = host.must(f"find /var/lib/ten/data -path {pattern}")
    steps = [int(line.split("/")[-2].removeprefix("step-")) for line in said.split()]
    return max(steps, default=None)


def _put(host: Host, path: str, content: str, mode: str = "0600") -> None:
    """Write a file that is never there in part, nor readable by others for a moment."""
    folder, word = quote(path.rpartition("/")[0]), quote(path)
    script = f"umask 077 && mkdir -p {folder} && cat > {word}.new && chmod {mode} {word}.new && mv {word}.new {word}"
    host.must(script, given=content)
