"""infra/lease.py as it runs on a droplet: every way in which a droplet's time ends."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.infra.box import STATE, Box
from tests.standins.digitalocean import DigitalOcean
from tests.standins.digitalocean_faults import ApiFault

LEASE_SCRIPT = Path(__file__).parents[2] / "infra" / "lease.py"
WORKS = "import time; time.sleep(60)"
SAVES = (
    'import signal, sys, time, pathlib; signal.signal(15, lambda *_: (pathlib.Path("saved").touch(), sys.exit(75))); '
    'pathlib.Path("ready").touch(); time.sleep(60)'
)


def wait_for(box: Box, name: str) -> None:
    until = time.monotonic() + 20
    while not box.file(name).exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_droplet_with_time_left_is_left_alone(account: DigitalOcean) -> None:
    box = Box(account, idle_s=600.0)
    box.start(WORKS)
    assert box.tick().returncode == 0 and box.tick().returncode == 0
    assert box.is_there


def test_the_deadline_stops_the_job_first_and_then_ends_the_droplet(account: DigitalOcean) -> None:
    box = Box(account, deadline=time.time() - 1)
    box.start(SAVES)
    wait_for(box, "ready")
    assert "deadline" in box.tick().stdout
    assert box.file("saved").exists()
    assert not box.is_there


def test_a_job_that_does_not_stop_does_not_keep_the_droplet(account: DigitalOcean) -> None:
    box = Box(account, deadline=time.time() - 1)
    box.start("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    box.tick()
    assert not box.is_there


@pytest.mark.parametrize("code", [0, 75])
def test_the_end_of_the_job_is_the_end_of_the_droplet(account: DigitalOcean, code: int) -> None:
    box = Box(account)
    box.start(f"import sys; sys.exit({code})")
    box.wait("running", False)
    assert "the job has ended" in box.tick().stdout
    assert not box.is_there


def test_a_job_that_failed_may_be_looked_at_for_a_while(account: DigitalOcean) -> None:
    box = Box(account)
    box.start("import sys; sys.exit(74)")
    box.wait("running", False)
    box.tick()
    assert box.is_there
    box.state(ended=time.time() - 601)
    assert "the job failed with 74" in box.tick().stdout
    assert not box.is_there


def test_a_job_that_never_began_does_not_hold_the_droplet(account: DigitalOcean) -> None:
    box = Box(account, start_by=time.time() + 600)
    box.tick()
    assert box.is_there
    late = Box(account, start_by=time.time() - 1)
    assert "never began" in late.tick().stdout
    assert not late.is_there and box.is_there


def test_idleness_of_gpu_and_processor_ends_it_and_work_of_either_does_not(account: DigitalOcean) -> None:
    box = Box(account, idle_s=60.0)
    box.start(WORKS)
    box.tick()
    (box.computer.folder / "gpu").write_text("97")
    box.state(worked=time.time() - 61)
    box.tick()
    assert box.is_there
    (box.computer.folder / "gpu").write_text("0")
    now = json.loads(box.computer.path(STATE).read_text())
    # What the processors of this machine did meanwhile is another's work: a droplet's counters stand still when idle.
    box.state(worked=time.time() - 61, busy=now["busy"] + 10**9, total=now["total"])
    assert "idle for 60s" in box.tick().stdout
    assert not box.is_there


def test_another_boot_ends_it_because_the_keys_are_gone(account: DigitalOcean) -> None:
    box = Box(account)
    box.start(WORKS)
    box.computer.reboot()
    assert "another boot" in box.tick().stdout
    assert not box.is_there


def test_a_refusal_is_met_with_another_try_for_ever(account: DigitalOcean) -> None:
    box = Box(account, deadline=time.time() - 1)
    account.faults.add([ApiFault(match="DELETE", status=500, count=3), ApiFault("lost", match="DELETE", count=1)])
    assert [box.tick().returncode for _ in range(4)] == [1, 1, 1, 1]
    assert box.is_there
    assert box.tick().returncode == 0
    assert not box.is_there


def test_a_droplet_that_is_to_end_ends_though_the_reason_has_passed(account: DigitalOcean) -> None:
    box = Box(account)
    box.start("import sys; sys.exit(0)")
    box.wait("running", False)
    box.machine.deaf = 1
    box.tick()
    assert box.is_there
    box.start(WORKS)
    box.tick()
    assert not box.is_there


def test_a_full_memory_does_not_keep_the_droplet(account: DigitalOcean) -> None:
    box = Box(account, deadline=time.time() - 1)
    shutil.rmtree(box.computer.path("/run/ten"))
    box.computer.path("/run/ten").touch()  # nothing can be written there
    assert box.tick().returncode == 0
    assert not box.is_there


def test_a_program_that_cannot_even_be_killed_is_not_waited_for() -> None:
    unkillable = (
        "import runpy, subprocess, sys, time; subprocess.Popen.kill = lambda self: None; "
        f"lease = runpy.run_path({str(LEASE_SCRIPT)!r}); output = lease['output']; "
        "output.__globals__.update(lease, ANSWER_S=0.2); began = time.monotonic(); "
        "assert output('sleep', '20') == ''; sys.exit(time.monotonic() - began > 10)"
    )
    subprocess.run([sys.executable, "-c", unkillable], check=True, timeout=15)


def test_without_a_token_the_job_ends_and_it_is_said_who_must_destroy_the_droplet(account: DigitalOcean) -> None:
    box = Box(account, token=None, deadline=time.time() - 1)
    box.start(SAVES)
    wait_for(box, "ready")
    assert "`ten down` or `ten reap`" in box.tick().stdout
    assert box.file("saved").exists() and box.is_there


def test_the_token_is_never_said(account: DigitalOcean) -> None:
    box = Box(account, token="dop_v1_wrong_canary", deadline=time.time() - 1)
    said = box.tick()
    assert "refused with 401" in said.stdout and "canary" not in said.stdout + said.stderr
    assert box.is_there
