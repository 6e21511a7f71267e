"""A droplet's computer in a folder of this machine: its files, its boot, and the processes that run on it."""

import contextlib
import os
import shutil
import signal
import stat
import sys
import uuid
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PATHS = ("/run/ten", "/var/lib/ten", "/etc/systemd/system", "/usr/local/lib/ten", "/proc/sys/kernel/random/boot_id")
"""What of a droplet's file system is the folder's."""
COMMANDS = ("docker", "systemctl", "journalctl", "cloud-init", "nvidia-smi")


def mapped(text: str, root: Path) -> str:
    """A script or file in which the droplet's paths are the folder's."""
    for path in PATHS:
        text = text.replace(path, f"{root}{path}")
    return text


class Computer:
    """A machine that is on until `off`."""

    def __init__(self, folder: Path, address: str, user_data: str) -> None:
        self.folder = folder / address
        self.root, self.pids = self.folder / "root", self.folder / "pids"
        for path in (self.root / "run/ten", self.root / "var/lib/ten/data", self.root / "var/lib/ten/job", self.pids):
            path.mkdir(parents=True)
        install_commands(self.folder / "bin", self.folder)
        self._boot()
        for file in (yaml.safe_load(user_data) or {}).get("write_files", ()):
            path = Path(f"{self.root}{file['path']}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(mapped(file["content"], self.root))
            path.chmod(int(file["permissions"], 8))
        (self.folder / "on").touch()

    @property
    def journal(self) -> str:
        """What its units said."""
        path = self.folder / "journal"
        return path.read_text() if path.exists() else ""

    def path(self, name: str) -> Path:
        """A file of the droplet."""
        return Path(f"{self.root}{name}")

    def off(self) -> None:
        """Every process is killed, nobody answers any more; the files stay for who wants to look."""
        (self.folder / "on").unlink(missing_ok=True)
        self._kill()

    def reboot(self) -> None:
        """Memory is lost, the disk is not, and what is enabled starts again."""
        self._kill()
        shutil.rmtree(self.root / "run/ten")
        (self.root / "run/ten").mkdir()
        self._boot()
        if (self.folder / "enabled").exists():
            os.system(f"{self.folder}/bin/systemctl start ten-lease.timer")

    def _boot(self) -> None:
        path = self.path("/proc/sys/kernel/random/boot_id")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{uuid.uuid4()}\n")

    def _kill(self) -> None:
        for path in self.pids.iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(path.name), signal.SIGKILL)
            path.unlink(missing_ok=True)


def install_commands(bin_folder: Path, folder: Path, commands: tuple[str, ...] = COMMANDS) -> None:
    """Executables that the stand-ins answer."""
    bin_folder.mkdir(parents=True, exist_ok=True)
    for name in commands:
        module = "digitalocean_ssh" if name == "ssh" else "digitalocean_commands"
        script = bin_folder / name
        script.write_text(
            f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.standins.{module} {folder} {name} "$@"\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
