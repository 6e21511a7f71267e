"""The command line as real processes on machines that share nothing but a store: the stand-in of an object store."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ten.train.metrics import StepMetrics, read_metrics
from tests.end_to_end.bundle import Bundle
from tests.end_to_end.hub_bundle import ended
from tests.standins.s3 import CANARIES, S3Stand, without_stores


class StoreBundle(Bundle):
    """The command line on one machine: a folder with its home, its working folder and nothing else at first."""

    def __init__(self, stand: S3Stand, address: str, machine: Path, corpus: Path, tokenizer: Path) -> None:
        super().__init__(machine / "work", corpus, tokenizer)
        self.stand, self.address, self.machine, self.tokenizer = stand, address, machine, tokenizer
        self.bucket, _, self.prefix = address.removeprefix("s3://").partition("/")
        self.home, self.work = machine / "home", machine / "work"
        self.home.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self._common[self._common.index("--store") + 1] = address

    def elsewhere(self, name: str) -> "StoreBundle":
        """Another machine, empty, with the same job over the same store."""
        return StoreBundle(self.stand, self.address, self.machine.with_name(name), self.corpus, self.tokenizer)

    def environment(self, **more: str) -> dict[str, str]:
        """A process's whole environment."""
        ours = without_stores(os.environ) | self.stand.environment()
        return ours | {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / ".cache")} | more

    def start(self, verb: str, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """A job verb as a process that runs."""
        return self._started(self.command(verb, *words), environment)

    def run(self, verb: str, *words: str, code: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a job verb to its end, and hold its exit code to what is expected."""
        return ended(self.start(verb, *words, **environment), code)

    def tool(self, verb: str, *words: str, code: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a verb that is about no job to its end: verify, runs, push, pull."""
        return ended(self._started([sys.executable, "-m", "ten.cli", verb, *words], environment), code)

    def verify(self, code: int) -> str:
        """What `ten verify --json` says of the store."""
        return self.tool("verify", self.address, "--json", code=code).stdout

    def keys(self, below: str = "") -> list[str]:
        """The keys in the store that begin with `below`, without the store's prefix."""
        prefix = f"{self.prefix}/" if self.prefix else ""
        return [key.removeprefix(prefix) for key in self.stand.keys(self.bucket, prefix + below)]

    def read(self, key: str) -> bytes:
        """An object's bytes, straight from the server."""
        return self.stand.get(self.bucket, f"{self.prefix}/{key}" if self.prefix else key)

    def shards(self) -> dict[int, bytes]:
        """The bytes of every shard in the store."""
        found = [key for key in self.keys("packs/") if key.endswith(".safetensors")]
        return {int(Path(key).stem): self.read(key) for key in found}

    def files(self, pattern: str = "*") -> list[Path]:
        """The files on this machine whose names match."""
        return sorted(path for path in self.machine.rglob(pattern) if path.is_file())

    def metrics(self) -> list[StepMetrics]:
        """The metrics of the one run on this machine."""
        (path,) = self.files("metrics.jsonl")
        return read_metrics(path)

    def rows(self) -> list[str]:
        """What tells the rows of each step of that run from any others."""
        (path,) = self.files("metrics.jsonl")
        return [json.loads(line)["rows_sha256"] for line in path.read_bytes().splitlines()]

    def steps(self) -> int:
        """Steps whose metrics are written here so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.files("metrics.jsonl"))

    def told(self) -> Iterator[str]:
        """Files here and objects in the store that hold a key of the store: there must be none."""
        for path in self.files():
            if _tells(path.read_bytes()):
                yield str(path)
        for key in self.keys():
            if _tells(self.read(key)):
                yield key

    def _started(self, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, env=self.environment(**environment), cwd=self.work,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def arguments_of(process: "subprocess.Popen[str]", until: Callable[[], bool]) -> set[str]:
    """Every command line among a process and its descendants while it runs, until something has come to be."""
    seen: set[str] = set()
    while process.poll() is None and not until():
        for pid in _family(process.pid):
            seen.add(_read_proc(pid, "cmdline").replace("\0", " "))
        time.sleep(0.05)
    return seen


def _family(pid: int) -> list[int]:
    children = [int(child) for child in _read_proc(pid, f"task/{pid}/children").split()]
    return [pid, *(found for child in children for found in _family(child))]


def _read_proc(pid: int, name: str) -> str:
    try:
        return (Path("/proc") / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return ""


def _tells(data: bytes) -> bool:
    return any(canary.encode() in data for canary in CANARIES)
