"""A droplet with an armed lease, whose timer is this test's own hand."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ten.cloud.host import LEASE, TOKEN
from ten.cloud.host_files import user_data
from tests.standins.digitalocean import LEASE_TOKEN, DigitalOcean, Machine
from tests.standins.digitalocean_computer import Computer

STATE = "/run/ten/lease-state.json"
UNIT = "/etc/systemd/system/ten-job.service"


class Box:
    """A droplet of an account."""

    def __init__(self, account: DigitalOcean, token: str | None = LEASE_TOKEN, **lease: Any) -> None:
        self.account = account
        self.machine: Machine = account.add(user_data=user_data(), tags=["ten"])
        account.look(self.machine.id)
        assert self.machine.computer is not None
        self.computer: Computer = self.machine.computer
        if token is not None:
            self.computer.path(TOKEN).write_text(token)
        boot_id = self.computer.path("/proc/sys/kernel/random/boot_id").read_text().strip()
        hour = time.time() + 3600
        armed = {
            "droplet": self.machine.id, "api": account.url, "boot_id": boot_id, "deadline": hour, "start_by": hour,
            "stop_grace_s": 5.0, "idle_s": None, "linger_s": 600.0,
        }  # fmt: skip
        self.computer.path(LEASE).write_text(json.dumps(armed | lease))

    @property
    def is_there(self) -> bool:
        """Whether it is billed."""
        return self.machine.id in self.account.machines

    def tick(self) -> "subprocess.CompletedProcess[str]":
        """What the timer does twice a minute."""
        command = [sys.executable, str(self.computer.path("/usr/local/lib/ten/lease.py"))]
        path = f"{self.computer.folder}/bin:{os.environ['PATH']}"
        return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)

    def start(self, program: str) -> None:
        """Start a job that is a program of Python."""
        self.computer.path(UNIT).write_text(f"[Service]\nExecStart=direct python -c '{program}'\nTimeoutStopSec=5\n")
        subprocess.run([f"{self.computer.folder}/bin/systemctl", "start", "ten-job.service"], check=True)
        self.wait("main")

    def wait(self, fact: str, value: object = None) -> None:
        """Wait for something to be known of the job."""
        path, until = self.computer.folder / "ten-job.service.json", time.monotonic() + 20
        while True:
            noted = json.loads(path.read_text())
            if fact in noted and value in (None, noted[fact]):
                return
            assert time.monotonic() < until
            time.sleep(0.02)

    def state(self, **facts: float) -> None:
        """Put facts into what the lease remembers."""
        path = self.computer.path(STATE)
        path.write_text(json.dumps(json.loads(path.read_text()) | facts))

    def file(self, name: str) -> Path:
        """A file that the job wrote."""
        return self.computer.root / name
