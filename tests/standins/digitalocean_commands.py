"""What a droplet's commands do in tests: `python -m tests.standins.digitalocean_commands FOLDER NAME …`.

systemctl runs units as processes, and docker's image is this source tree.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.standins.digitalocean_computer import ROOT, mapped

_TICK_S = 0.25
_NOT_THERE, _INACTIVE = 4, 3


class Droplet:
    """The machine whose command this is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"

    def run(self, name: str, words: list[str]) -> int:
        """One command."""
        if name == "cloud-init":
            failed = (self.folder / "boot-failed").exists()
            _say(f"status: {'error' if failed else 'done'}")
            return int(failed)
        if name == "nvidia-smi":
            _say((self.folder / "gpu").read_text() if (self.folder / "gpu").exists() else "0")
            return 0
        if name == "journalctl":
            _say((self.folder / "journal").read_text().rstrip())
            return 0
        if name == "docker":
            return self._docker(words)
        return self._systemctl(words)

    def _docker(self, words: list[str]) -> int:
        if words[0] == "pull":
            image = words[-1]
            (self.folder / "pulled").write_text(image)
            if "missing" in image:
                sys.stderr.write(f"Error response from daemon: manifest for {image} not found\n")
            return int("missing" in image)
        raise SystemExit(f"docker {words}: not known here")

    def _systemctl(self, words: list[str]) -> int:
        verb = words[0]
        unit = next((word for word in words[1:] if not word.startswith("-")), "")
        if verb == "enable":
            (self.folder / "enabled").touch()
            verb = "start"
        if verb == "start" and unit == "ten-lease.service":
            return self._look()
        if verb == "start":
            return self._start(unit)
        if verb == "stop":
            return self._stop(unit)
        if verb == "is-active":
            active = self._facts(unit)["ActiveState"] == "active"
            _say("active" if active else "inactive")
            return 0 if active else _INACTIVE
        if verb == "show":
            _say("\n".join(f"{name}={value}" for name, value in self._facts(unit).items()))
        return 0

    def _start(self, unit: str) -> int:
        if not self._file(unit).exists():
            sys.stderr.write(f"Failed to start {unit}: Unit {unit} not found.\n")
            return _NOT_THERE
        self._note(unit, started=time.monotonic_ns() // 1000, code=0, running=True)
        what = "timer" if unit.endswith(".timer") else "job"
        with (self.folder / "journal").open("a") as journal:
            process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(self.folder), what, unit],
                cwd=ROOT, start_new_session=True, stdin=subprocess.DEVNULL, stdout=journal, stderr=journal,
            )  # fmt: skip
        (self.folder / "pids" / str(process.pid)).touch()
        return 0

    def _stop(self, unit: str) -> int:
        noted = self._noted(unit)
        if not noted.get("running"):
            return 0
        while "main" not in noted:
            time.sleep(0.02)
            noted = self._noted(unit)
        with contextlib.suppress(ProcessLookupError):
            os.kill(noted["main"], signal.SIGTERM)
        deadline = time.monotonic() + float(self._said(unit).get("TimeoutStopSec", "90"))
        while self._noted(unit).get("running"):
            if time.monotonic() > deadline:
                os.killpg(noted["pid"], signal.SIGKILL)
                self._note(unit, running=False, code=137)
            time.sleep(0.05)
        return 0

    def timer(self, unit: str) -> int:
        """A timer's process: its service, again and again."""
        while True:
            self._look()
            time.sleep(_TICK_S)

    def _look(self) -> int:
        """The lease's service, to its end."""
        words = shlex.split(self._said("ten-lease.service")["ExecStart"])
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return subprocess.run([sys.executable, *words[1:]], env={**os.environ, "PATH": path}, check=False).returncode

    def job(self, unit: str) -> int:
        """A job's process: what its container would do."""
        words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(self._said(unit)["ExecStart"])]
        command, environment = [sys.executable, *words[2:]], dict(os.environ)
        if words[0] != "direct":
            command, environment = _contained(words, self.root)
        process = subprocess.Popen(command, env=environment, cwd=self.root)
        self._note(unit, main=process.pid, pid=os.getpid())
        code = process.wait()
        self._note(unit, running=False, code=code if code >= 0 else 128 - code)
        return 0

    def _facts(self, unit: str) -> dict[str, str]:
        noted = self._noted(unit)
        running = bool(noted.get("running"))
        return {
            "LoadState": "loaded" if self._file(unit).exists() else "not-found",
            "ActiveState": "active" if running else "failed" if noted.get("code") else "inactive",
            "ExecMainStatus": str(noted.get("code", 0)),
            "ExecMainStartTimestampMonotonic": str(noted.get("started", 0)),
        }

    def _file(self, unit: str) -> Path:
        return self.root / "etc/systemd/system" / unit

    def _said(self, unit: str) -> dict[str, str]:
        lines = self._file(unit).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def _noted(self, unit: str) -> dict[str, int]:
        path = self.folder / f"{unit}.json"
        noted: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        return noted

    def _note(self, unit: str, **facts: int) -> None:
        path = self.folder / f"{unit}.json"
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(self._noted(unit) | facts))
        new.replace(path)


def _contained(words: list[str], root: Path) -> tuple[list[str], dict[str, str]]:
    """The process that stands for a container, and its environment: its own, and nothing of the host's."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["TEN_ENV_FILE"] = os.devnull
    volumes: dict[str, str] = {}
    rest = iter(words[2:])
    for word in rest:
        if not word.startswith("-"):
            break  # the image
        if word in ("--rm", "--read-only"):
            continue
        value = next(rest)
        if word == "--env-file":
            environment |= dict(_lines(Path(mapped(value, root))))
        elif word == "--env":
            environment |= dict([value.split("=", 1)])
        elif word == "--volume":
            there, here, *_ = value.split(":")
            volumes[here] = mapped(there, root)

    def inside(text: str) -> str:
        return next((at + text.removeprefix(here) for here, at in volumes.items() if text.startswith(f"{here}/")), text)

    environment = {name: inside(value) for name, value in environment.items()}
    return [sys.executable, "-m", "ten.cli", *map(inside, rest)], environment


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        yield name, value


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(argv: list[str]) -> int:
    """One command, or the process behind a unit."""
    droplet, name = Droplet(Path(argv[0])), argv[1]
    if name in ("timer", "job"):
        return getattr(droplet, name)(argv[2])  # type: ignore[no-any-return]
    return droplet.run(name, argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
