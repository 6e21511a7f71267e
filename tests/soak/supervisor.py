"""A supervisor that does not give up: one job is run again until it has finished, while faults are brought about."""

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ten.errors import TenError
from tests.soak.faults import Fault
from tests.soak.place import Place
from tests.soak.workload import TEN, Outcome, Workload, outcome

_ATTEMPT_S = 150.0
_AGAIN = {69, 73, 74, 75}
"""Exit codes after which the same command is run again."""
_DAMAGED, _MISSING = 65, 66
"""Exit codes after which the store is repaired and packed anew, where this soak has damaged it or nobody has packed."""
_DAMAGES = {"flip bits", "cut file", "flip stored bits", "cut stored object"}
_ENDS = {"kill trainer", "kill pack", "SIGTERM", "lose machine"}
_MODES = ("streaming", "pretok", "full")
_PACKS = 0.15
"""Part of the attempts that only pack."""
_PACKING_S = 0.1
"""Of a second in training: `ten pack` takes less than one."""
_POLL_S = 0.01
_MISSES = 3
"""How often a fault may find nothing to happen to before it is given up."""


class Finding(Exception):
    """What must not be."""


class Supervisor:
    """One run from nothing to its end in a place. `happened` and `ended` count faults by kind and attempts by end.

    `logs` is a folder to be made: what each attempt said.
    """

    def __init__(
        self,
        place: Place,
        workload: Workload,
        logs: Path,
        generator: random.Random,
        *,
        happened: Counter[str],
        ended: Counter[str],
        tell: Callable[[str], object],
    ) -> None:
        self._place, self._workload, self._logs, self._generator = place, workload, logs, generator
        self._happened, self._ended, self._tell = happened, ended, tell
        self.switches = 0
        """Attempts at training in another mode than the one before."""
        self._attempts, self._mode = 0, ""
        self._is_damaged = self._must_pack = self._is_half_packed = False
        self._coming: list[Fault] = []
        logs.mkdir(parents=True)

    def finish(self, faults: Iterator[Fault], wanted: Outcome) -> None:
        """Run under all the faults, or as many as come about before the end. Raises Finding unless all is as wanted."""
        self._coming = list(faults)[::-1]
        while not self._attempt():
            pass
        self._place.settle()
        self._compare(wanted)
        self._repair()

    def _attempt(self) -> bool:
        """Run the job once; whether training has finished."""
        verb, mode = self._draw()
        self._attempts += 1
        log = self._logs / f"{self._attempts:03d}-{verb}-{mode}.txt"
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                self._workload.command(verb, self._place.store, mode),
                env=self._place.environment(), stdout=file, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            with process:
                deadline = time.monotonic() + _ATTEMPT_S
                last = self._disturb(process, f"{verb} {mode}", deadline)
                code = self._wait(process, deadline)
        self._place.settle()
        self._ended[str(code)] += 1
        self._tell(f"{self._place.name}: {verb} {mode}: {last or 'left alone'}: ended with {code}")
        self._judge(code, mode, last, log)
        if mode in ("pack", "full"):
            self._is_half_packed = code != 0
        return verb == "train" and code == 0

    def _draw(self) -> tuple[str, str]:
        """What the next attempt does, in which mode: anything, but what the next fault needs."""
        kind = self._coming[-1].kind if self._coming else None
        mode = self._generator.choice(_MODES)
        packs = self._generator.random() < _PACKS
        # A pretok run waits without end for a packer that has begun in the object store and is dead.
        must_pack = self._must_pack or (self._is_half_packed and mode == "pretok" and kind != "kill packer")
        if must_pack or kind == "kill pack" or (packs and kind != "kill packer"):
            self._must_pack = False
            return "pack", "pack"
        if kind == "kill packer" and mode == "pretok":
            mode = "streaming"
        self.switches += self._mode not in ("", mode)
        self._mode = mode
        return "train", mode

    def _disturb(self, process: "subprocess.Popen[str]", what: str, deadline: float) -> str:
        """Bring about one fault after another until one ends the process, or it ends, or none fits; what was done."""
        last, misses = "", 0
        while self._coming and _fits(self._coming[-1], what):
            fault = self._coming[-1]
            if not self._is_time(fault, process, deadline):
                self._coming.insert(0, self._coming.pop())  # too late: after all others
                break
            done = self._place.bring_about(fault, process)
            if done is None:
                misses += 1
                if misses == _MISSES:
                    self._coming.pop()
                    break
                continue
            self._coming.pop()
            self._happened[fault.kind] += 1
            self._is_damaged |= fault.kind in _DAMAGES
            last = f"{last}, {done}" if last else done
            if fault.kind in _ENDS:
                break
        return last

    def _is_time(self, fault: Fault, process: "subprocess.Popen[str]", deadline: float) -> bool:
        """Wait for the moment of a fault; False where the process has ended before."""
        seconds = fault.seconds * _PACKING_S if fault.kind == "kill pack" else fault.seconds
        moment, step = time.monotonic() + seconds, self._place.step() + fault.steps
        while process.poll() is None and time.monotonic() < deadline:
            if time.monotonic() >= moment and (fault.kind == "kill pack" or self._place.step() >= step):
                return True
            time.sleep(_POLL_S)
        return False

    def _wait(self, process: "subprocess.Popen[str]", deadline: float) -> int:
        try:
            return process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise Finding(f"attempt {self._attempts} did not end within {_ATTEMPT_S:.0f} s") from None

    def _judge(self, code: int, mode: str, last: str, log: Path) -> None:
        """Raise Finding unless a supervisor would go on after this exit code."""
        said = log.read_text(encoding="utf-8", errors="replace")
        if "Traceback (most recent call last)" in said:
            raise Finding(f"a traceback: {log}\n{said[-3000:]}")
        if code == 0 or code in _AGAIN:
            return
        if code == -signal.SIGKILL and last.endswith(("kill trainer", "kill pack", "lose machine")):
            return
        if code == -signal.SIGTERM and last.endswith("SIGTERM"):  # it came before there was anybody to hear it
            return
        if code == _MISSING and mode == "pretok":
            self._must_pack = True
        elif code == _DAMAGED and self._is_damaged:
            self._repair()
        else:
            raise Finding(f"ended with {code} after: {last or 'nothing'}: {log}\n{said[-3000:]}")

    def _compare(self, wanted: Outcome) -> None:
        """Raise Finding where the run is not what nobody disturbed."""
        try:
            found = outcome(self._place.run)
        except TenError as error:
            raise Finding(f"no finished run: {error}") from error
        if (difference := wanted.difference(found)) is not None:
            raise Finding(f"the run is not what the undisturbed one was: {difference}")
        stored = self._place.stored("metrics.jsonl")
        if stored is not None and stored != (self._place.run / "metrics.jsonl").read_bytes():
            raise Finding("metrics.jsonl in the store is not that of the machine")

    def _repair(self) -> None:
        """Make the store sound and the pack whole again. Raises Finding where that fails, or was not to be needed."""
        before = self._ten(["verify", self._place.store, "--repair", "--json"])
        done = json.loads(before.stdout)
        if (done["repairs"] or done["damaged"]) and not self._is_damaged:
            raise Finding(f"damage that nobody has done: {before.stdout}")
        packed = self._ten(self._workload.command("pack", self._place.store)[len(TEN) :])
        after = self._ten(["verify", self._place.store, "--json"])
        if packed.returncode or after.returncode:
            raise Finding(f"not sound after a repair:\n{before.stdout}\n{packed.stderr}\n{after.stdout}{after.stderr}")
        self._is_damaged = False

    def _ten(self, words: list[str]) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*TEN, *words], env=self._place.environment(), capture_output=True, text=True, timeout=_ATTEMPT_S,
            check=False,
        )  # fmt: skip
        if done.returncode not in (0, _DAMAGED):
            raise Finding(f"{' '.join(words)}: ended with {done.returncode}: {done.stderr}")
        return done


def _fits(fault: Fault, what: str) -> bool:
    """Whether a fault can happen to an attempt: `ten pack` has no packer process, nor has a pretok run."""
    if fault.kind == "kill packer":
        return what in ("train streaming", "train full")
    return fault.kind not in ("kill pack", "kill trainer") or (fault.kind == "kill pack") == what.startswith("pack")
