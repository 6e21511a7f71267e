#!/usr/bin/python3
"""The lease of a droplet: stops its job and destroys the droplet when it has had its time.

ten-lease.timer runs it twice a minute as root. Once there is a reason to end, every run tries again, for ever. A
droplet that is switched off is billed like one at work, so it asks DigitalOcean to destroy it. Python's standard
library alone; the names in lease.json are those of ten/cloud/host.py.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

LEASE = Path("/var/lib/ten/lease.json")
TOKEN = Path("/var/lib/ten/lease.token")
STATE = Path("/run/ten/lease-state.json")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
JOB = "ten-job.service"
RESUMABLE = 75
GPU_AT_WORK_PERCENT = 5
CORES_AT_WORK = 0.25
ANSWER_S = 30.0


def main() -> int:
    """One look at the lease; 0 while there is time left or none was armed."""
    try:
        lease = json.loads(LEASE.read_text())
    except FileNotFoundError:
        return 0
    state = read_state()
    reason = state.get("reason") or why(lease, state, time.time())
    if reason:
        state["reason"] = reason
    write_state(state)
    if not reason:
        return 0
    say(f"{reason}: stopping the job, then destroying this droplet")
    stop_job(lease["stop_grace_s"])
    return destroy(lease)


def why(lease, state, now):
    """The reason to end, or None."""
    if BOOT_ID.read_text().strip() != lease["boot_id"]:
        return "another boot: the job's keys are gone"
    if now >= lease["deadline"]:
        return "deadline"
    job = job_state()
    if not job["started"]:
        return "the job never began" if now >= lease["start_by"] else None
    if not job["running"]:
        ended = state.setdefault("ended", now)
        if job["code"] in (0, RESUMABLE):
            return "the job has ended"
        return f"the job failed with {job['code']}" if now >= ended + lease["linger_s"] else None
    state.pop("ended", None)
    if lease["idle_s"] is not None and now - last_work(state, now) >= lease["idle_s"]:
        return f"idle for {lease['idle_s']:.0f}s"
    return None


def job_state():
    """Whether the job has been started, is running, and what it ended with."""
    names = "LoadState,ActiveState,ExecMainStatus,ExecMainStartTimestampMonotonic"
    lines = output("systemctl", "show", JOB, f"--property={names}").splitlines()
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    return {
        "started": facts.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0"),
        "running": facts.get("ActiveState") in ("active", "activating", "deactivating", "reloading"),
        "code": int(facts.get("ExecMainStatus") or 0),
    }


def last_work(state, now):
    """When a GPU or a processor last did something."""
    busy, total = processor_time()
    cores_busy = (busy - state.get("busy", 0)) / max(1e-9, total - state.get("total", 0)) * (os.cpu_count() or 1)
    first = "busy" not in state
    state.update(busy=busy, total=total)
    if first or cores_busy >= CORES_AT_WORK or gpu_percent() >= GPU_AT_WORK_PERCENT:
        state["worked"] = now
    return state["worked"]


def processor_time():
    """Busy and total time of all processors since the boot, in ticks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def gpu_percent():
    """The busiest GPU's load; 0 without one."""
    said = output("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    return max((int(word) for word in said.split() if word.isdigit()), default=0)


def stop_job(grace_s):
    """SIGTERM, a checkpoint, its way to the store; the unit's own time limit ends it, and this one ends the waiting."""
    try:
        subprocess.run(["systemctl", "stop", JOB], check=False, timeout=grace_s + 60)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"stopping the job: {error}")


def destroy(lease):
    """Ask for this droplet's end; the next run asks again where that fails."""
    try:
        token = TOKEN.read_text().strip()
    except FileNotFoundError:
        say("no token here: `ten down` or `ten reap` must destroy this droplet; it is billed until then")
        return 0
    request = urllib.request.Request(
        f"{lease['api']}/v2/droplets/{lease['droplet']}",
        method="DELETE",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            say(f"destroying: {answer.status}")
        return 0
    except urllib.error.HTTPError as error:
        with error:
            say(f"destroying: refused with {error.code}; trying again")
    except OSError as error:
        say(f"destroying: {error}; trying again")
    return 1


def output(*command):
    """What a command prints; nothing where it is not there or fails."""
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return ""
    try:
        return process.communicate(timeout=ANSWER_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()  # and no wait for it: behind a GPU that is lost a process does not even die
        return ""


def read_state():
    """What earlier runs of this boot have seen."""
    try:
        return json.loads(STATE.read_text())
    except (OSError, ValueError):
        return {}


def write_state(state):
    """Remember it for the next run; a memory that is full keeps nothing alive."""
    new = STATE.with_suffix(".new")
    try:
        STATE.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(state))
        new.replace(STATE)
    except OSError as error:
        say(f"{STATE}: {error}")


def say(text):
    """A line for the journal."""
    print(f"ten-lease: {text}", flush=True)  # noqa: T201 - the journal is where it belongs


if __name__ == "__main__":
    sys.exit(main())
