"""A place to run in: one machine with a small disk, its store, and how each fault is brought about there."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from ten.train.metrics import last_lines
from tests.soak.damage import damage_file, damage_object, tear_metrics
from tests.soak.disk import SmallDisk
from tests.soak.faults import FOLDER, OBJECTS, Fault, Kind
from tests.soak.workload import RUN
from tests.standins.s3 import S3Stand, without_stores
from tests.standins.s3_faults import Fault as NetworkFault

_POLL_S = 0.01
_PATIENCE_S = 60.0
"""For things to come to be that are on their way."""
_DOWN_S = 4.0
"""Longest time without the store's server."""
_FULL_S = 4.0
"""Longest time that the disk is full for a process that does not end by it."""
_TORN = 0.3
"""Part of the kills that tear the last line of the metrics."""
_OBJECTS = r"(GET|PUT) /[^/?]+/[^?]+"
"""Requests whose bodies are objects, or parts of them."""


class Place:
    """A machine whose disk is `disk`; over a bucket of `stand` where one is given, else over a folder of that disk."""

    def __init__(self, disk: SmallDisk, stand: S3Stand | None) -> None:
        self.disk, self._stand = disk, stand
        self._machine = disk.folder / "machine"
        self._bucket = stand.new_bucket() if stand else ""
        self.store = f"{self._bucket}/soak" if stand else str(self._machine / "store")
        self._revival: threading.Timer | None = None
        self._machine.mkdir()

    @property
    def name(self) -> str:
        """For people."""
        return "object store" if self._stand else "folder"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The faults that can be brought about here, as often as they are to be drawn."""
        every = OBJECTS if self._stand else FOLDER
        return every if self.disk.can_be_filled else tuple(kind for kind in every if kind != "fill disk")

    @property
    def run(self) -> Path:
        """The run's folder on this machine."""
        if self._stand is None:
            return self._machine / "store" / "runs" / RUN
        runs = self._machine / ".cache" / "ten" / "runs"
        return next(runs.glob(f"*/{RUN}"), runs / RUN)

    def environment(self) -> dict[str, str]:
        """A process's whole environment."""
        home = {"HOME": str(self._machine), "XDG_CACHE_HOME": str(self._machine / ".cache")}
        ours = self._stand.environment(TEN_PATIENCE="20s") if self._stand else {}
        return without_stores(os.environ) | {"OMP_NUM_THREADS": "1", "TEN_ENV_FILE": os.devnull} | ours | home

    def step(self) -> int:
        """The newest step in the metrics; 0 before the first."""
        try:
            lines = last_lines((self.run / "metrics.jsonl").read_bytes())
        except FileNotFoundError:
            return 0
        return lines[-1].step if lines else 0

    def bring_about(self, fault: Fault, process: "subprocess.Popen[str]") -> str | None:
        """Make a fault happen to a process; what was done, or None where there was nothing to do it to."""
        draw = fault.random
        match fault.kind:
            case "kill trainer" | "kill pack":
                process.kill()
                process.wait()
                if draw.random() < _TORN:
                    tear_metrics(self.run, draw)
                return fault.kind
            case "SIGTERM":
                process.terminate()
                return fault.kind
            case "lose machine":
                _kill_all(process)
                shutil.rmtree(self._machine)
                self._machine.mkdir()
                return fault.kind
            case "kill packer":
                return self._kill_packer(process)
            case "fill disk":
                return self._fill_disk(process, draw)
            case "flip bits" | "cut file":
                return damage_file(self._machine, fault.kind == "cut file", draw)
        return self._bring_about_in_store(fault, draw)

    def settle(self) -> None:
        """Wait until the store is there again and nothing more is wrong with the way to it."""
        self._await_store()
        if self._stand is not None:
            self._stand.clear()

    def stored(self, name: str) -> bytes | None:
        """An object of the run in the object store; None over a folder."""
        if self._stand is None:
            return None
        return self._stand.get(self._bucket.removeprefix("s3://"), f"soak/runs/{RUN}/{name}")

    def clear(self) -> None:
        """Leave nothing: the next run begins with an empty store on an empty machine."""
        shutil.rmtree(self._machine)
        if self._stand is not None:
            self._stand.bucket(self._bucket.removeprefix("s3://"))

    def _bring_about_in_store(self, fault: Fault, draw: random.Random) -> str | None:
        assert self._stand is not None
        self._await_store()
        match fault.kind:
            case "kill store":
                self._stand.kill()
                self._revival = threading.Timer(draw.uniform(0.2, _DOWN_S), self._stand.revive)
                self._revival.start()
                return fault.kind
            case "flip stored bits" | "cut stored object":
                return damage_object(
                    self._stand, self._bucket.removeprefix("s3://"), fault.kind == "cut stored object", draw
                )
            case "cut connection":
                action = draw.choice(("reset", "drop", "fin", "lost", "short"))
                match = _OBJECTS if action in ("drop", "fin", "short") else ""
                self._stand.add(NetworkFault(action, match=match, count=draw.randint(1, 4)))  # type: ignore[arg-type]
            case "answer 503":
                code = draw.choice(("SlowDown", "ServiceUnavailable", "InternalError"))
                self._stand.add(NetworkFault("refuse", code=code, count=draw.randint(1, 6)))
            case "wrong bytes":
                self._stand.add(NetworkFault("wrong_bytes", match=_OBJECTS, count=draw.randint(1, 2)))
        return fault.kind

    def _await_store(self) -> None:
        if self._revival is not None:
            self._revival.join(_PATIENCE_S)
            self._revival = None

    def _kill_packer(self, trainer: "subprocess.Popen[str]") -> str | None:
        for pid in _children(trainer.pid):
            if "ten.data.packer_process" in _command_line(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    return None
                return "kill packer"
        return None

    def _fill_disk(self, process: "subprocess.Popen[str]", draw: random.Random) -> str | None:
        """Full until the process has ended, or noticed nothing for a while."""
        self.disk.fill(draw.choice((0, 0, 8, 64)) * 1024)
        try:
            process.wait(draw.uniform(0.5, _FULL_S))
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.disk.make_room()
        return "fill disk"


def _kill_all(process: "subprocess.Popen[str]") -> None:
    """SIGKILL for a process and those that it has started."""
    children = _children(process.pid)
    process.kill()
    process.wait()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        while "ten." in _command_line(pid):
            time.sleep(_POLL_S)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except FileNotFoundError:  # it has ended
        return []


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
