"""Launch: a verb as several processes of this machine, one a GPU, that train together; their signals and exit codes.

What torchrun does, without torch: a launcher that imports it holds the first step up by seconds, and torchrun's own
exit code is 1 whatever the ranks said.
"""

import ctypes
import itertools
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ten.errors import Resumable, SpecError
from ten.train.settings import TrainSettings

log = logging.getLogger(__name__)

_POLL_S = 0.05
_LEAVE_S = 30.0
"""Time in which ranks notice by themselves that another one has ended."""
_ON_PURPOSE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What ends a process that has no fault of its own."""
_PR_SET_PDEATHSIG = 1


def ranks_here(train: TrainSettings) -> int:
    """How many processes `ten train` is to start here; 1 where it trains by itself, alone or as one of torchrun's.

    Raises SpecError where `train.ranks` asks for more GPUs than there are.
    """
    return 1 if os.environ.get("WORLD_SIZE") else ranks_on(train, visible_gpus())


def ranks_on(train: TrainSettings, gpus: int) -> int:
    """How many processes train together on a machine with so many GPUs."""
    if train.ranks == "auto":
        return max(1, gpus) if train.device in ("auto", "cuda") else 1
    if train.ranks > 1 and train.device.startswith("cuda:"):
        raise SpecError(f"train.ranks: {train.ranks} processes cannot share train.device {train.device}; write cuda")
    if train.ranks > gpus and (train.device == "cuda" or (train.device == "auto" and gpus)):
        raise SpecError(f"train.ranks: {train.ranks} processes want a GPU each, and this machine shows {gpus}")
    return train.ranks


def visible_gpus(devices: Path = Path("/dev"), driver: Path = Path("/proc/driver/nvidia")) -> int:
    """NVIDIA GPUs that CUDA will find, by their device files, their driver and CUDA_VISIBLE_DEVICES."""
    files = sum(1 for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    there = max(files, len(list(driver.glob("gpus/*"))))  # device files may be made with the first use alone
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return there
    listed = itertools.takewhile(lambda name: name.strip() not in ("", "-1"), named.split(","))
    return min(there, sum(1 for _ in listed))


def launch(words: Sequence[str], ranks: int, *, grace_s: float) -> int:
    """Run `ten WORDS` as so many processes; one exit code for all of them.

    SIGTERM and SIGINT go on to every rank. Where one ends early the others notice by themselves, or are asked to stop
    after half a minute, and killed `grace_s` later. Where this process ends, they are asked to stop.
    """
    log.info("training with %d processes on this machine (train.ranks)", ranks)
    group = _Group(words, ranks)
    with _passing_on(group):
        group.start()
        while group.running:
            time.sleep(_POLL_S)
            group.look()
            if group.since is not None:
                group.hurry(time.monotonic() - group.since, grace_s)
    return exit_code(group.codes)


def exit_code(codes: Sequence[int]) -> int:
    """One code for all ranks, from theirs in the order in which they ended; below 0: the signal that ended one.

    The first error, else 75 where any rank stopped early or was killed: its checkpoints are there. An abort after
    another rank has ended is no error: libraries abort that lose their peers.
    """
    stopped = (Resumable.exit_code, *(-number for number in _ON_PURPOSE), *(128 + number for number in _ON_PURPOSE))
    errors = [
        code
        for place, code in enumerate(codes)
        if code != 0 and code not in stopped and not (code == -signal.SIGABRT and any(codes[:place]))
    ]
    if errors:
        return errors[0] if errors[0] > 0 else 128 - errors[0]
    return Resumable.exit_code if any(codes) else 0


class _Group:
    """The processes; their codes in the order in which they ended."""

    def __init__(self, words: Sequence[str], ranks: int) -> None:
        self.codes: list[int] = []
        self.since: float | None = None
        """When the first rank ended other than well."""
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self._words, self._ranks = words, ranks
        self._sent: list[int] = []

    def start(self) -> None:
        """In sessions of their own: a terminal's Ctrl-C reaches them through this process alone, once."""
        port, stop_with_parent = _free_port(), _stop_with_parent()
        for rank in range(self._ranks):
            self.running[rank] = subprocess.Popen(
                [sys.executable, "-m", "ten.cli", *self._words],
                env={**os.environ, **_environment(rank, self._ranks, port)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=stop_with_parent,
            )
            for number in self._sent:
                self.running[rank].send_signal(number)

    def send(self, number: int) -> None:
        """A signal to every rank, also to those that are yet to start."""
        self._sent.append(number)
        for process in self.running.values():
            process.send_signal(number)

    def look(self) -> None:
        """Note who has ended."""
        for rank, process in list(self.running.items()):
            if (code := process.poll()) is None:
                continue
            del self.running[rank]
            self.codes.append(code)
            if code < 0:
                log.error("rank %d was ended by %s", rank, signal.Signals(-code).name)
            if code != 0 and self.since is None:
                self.since = time.monotonic()

    def hurry(self, waited_s: float, grace_s: float) -> None:
        """Ask ranks to stop that go on without one that has ended so long ago, or kill them."""
        if waited_s > _LEAVE_S + grace_s:
            self.send(signal.SIGKILL)
        elif waited_s > _LEAVE_S and signal.SIGTERM not in self._sent:
            log.error("rank %s: goes on though another has ended; asked to stop", ", ".join(map(str, self.running)))
            self.send(signal.SIGTERM)


@contextmanager
def _passing_on(group: _Group) -> Iterator[None]:
    """Within the block SIGTERM and SIGINT go to the ranks and do nothing here."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        group.send(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """torchrun's variables, and threads that do not outnumber the cores."""
    threads = max(1, (os.cpu_count() or 1) // ranks)
    return {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        **({} if "GLOO_SOCKET_IFNAME" in os.environ or sys.platform != "linux" else {"GLOO_SOCKET_IFNAME": "lo"}),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop_with_parent() -> Callable[[], object] | None:
    """What a child does first: have the kernel send it SIGTERM when this process ends, killed or not. Linux alone."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
