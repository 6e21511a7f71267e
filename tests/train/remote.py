"""A store that is no folder, in memory: held up, away, or refusing, as a test says; and a run's folder to send."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ten.errors import ServiceUnavailable, TenError
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import ObjectStat
from ten.train import checkpoint_files
from ten.train.metrics import MetricsLog, StepMetrics
from ten.train.mirror import Mirror
from ten.train.run_record import RunRecord, now, write_run
from ten.train.stopping import StopRequest
from ten.train.stored_run import StoredRun


class Remote(MemoryStore):
    """`error` is what every call raises, `error_for` an object that does not come, `lost_for` one that is written while
    its answer does not come, `asked` all calls.

    Sends wait for `gate`.
    """

    def __init__(self) -> None:
        super().__init__("s3://bucket/prefix")
        self.error: TenError | None = None
        self.error_for = ""
        self.lost_for = ""
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[tuple[str, str]] = []

    def keys(self, prefix: str = "") -> list[str]:
        """What is there."""
        return [found.key for found in MemoryStore.list(self, prefix)]

    def read(self, key: str) -> bytes:
        self._ask("read", key)
        return super().read(key)

    def write(self, key: str, data: bytes) -> None:
        self._ask("write", key)
        super().write(key, data)
        if key == self.lost_for:
            raise ServiceUnavailable(f"{self.url}/{key}: no answer")

    def send(
        self, key: str, path: Path, *, sha256: str, about: str = "", advance: Callable[[int], object] | None = None
    ) -> None:
        self._ask("send", key)
        while not self.gate.wait(0.01):
            if advance:
                advance(0)
        self._raise()
        super().send(key, path, sha256=sha256, about=about, advance=advance)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        self._ask("list", prefix)
        return super().list(prefix)

    def delete(self, key: str) -> None:
        self._ask("delete", key)
        super().delete(key)

    def fetch(
        self, key: str, path: Path, *, sha256: str | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        self._ask("fetch", key)
        super().fetch(key, path, sha256=sha256, advance=advance)

    def damage(self, key: str) -> None:
        """Flip the first byte of an object."""
        data = self._objects[key]
        self._objects[key] = bytes([data[0] ^ 1]) + data[1:]

    def _ask(self, what: str, key: str) -> None:
        self.asked.append((what, key))
        self._raise()
        if key == self.error_for:
            raise ServiceUnavailable(f"{self.url}/{key}: no answer")

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error


def make_checkpoint(run: Path, step: int) -> Path:
    """A small checkpoint whose content follows from its step."""
    files = {"model.safetensors": b"weights %d" % step * 100, "state.json": b"{}"}
    contents = {name: (lambda data=data: [data]) for name, data in files.items()}
    return checkpoint_files.publish(run / "checkpoints", step, contents, expected_bytes=10_000)


def make_run(run: Path, steps: int) -> RunRecord:
    """A run's record, tokenizer and metrics of so many steps."""
    record = RunRecord(run=run.name, created=now(), spec={"name": "tiny"}, total_tokens=1000)
    write_run(run / "run.json", record)
    (run / "tokenizer.json").write_bytes(b"{}")
    metrics = MetricsLog(run / "metrics.jsonl", 0)
    for step in range(1, steps + 1):
        metrics.append(step_metrics(step))
    return record


def step_metrics(step: int) -> StepMetrics:
    """One line of metrics."""
    return StepMetrics(
        step=step, tokens=step * 10, loss=1 / step, lr=0.1, grad_norm=1.0, tokens_per_s=5.0, data_wait_s=0.0,
        rows_sha256="0" * 64, seconds=float(step),
    )  # fmt: skip


def step_folder(step: int) -> str:
    """Where the run `r` has a checkpoint."""
    return f"runs/r/checkpoints/{checkpoint_files.folder_name(step)}"


def open_mirror(
    store: Remote, run: Path, *, keep_last: int = 3, stop: StopRequest | None = None, grace_s: float = 30.0
) -> Mirror:
    """What sends the run's folder into the store, as the run `r`."""
    stored = StoredRun(store, "r")
    stored.look()
    return Mirror(stored, run, keep_last=keep_last, stop=stop or StopRequest(), grace_s=grace_s)


def wait_until(said: Callable[[], object]) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + 20
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class FarFolder(LocalStore):
    """A folder that does not say so: a store that several processes share and that is no folder to them."""

    def __init__(self, folder: Path, pause_s: float = 0.0) -> None:
        super().__init__(folder)
        self._folder, self._pause_s = self.root, pause_s
        self.url = "s3://far/folder"

    def fetch(
        self, key: str, path: Path, *, sha256: str | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        with (self._folder / "fetched.txt").open("a") as file:
            file.write(f"{key}\n")
        time.sleep(self._pause_s)
        super().fetch(key, path, sha256=sha256, advance=advance)

    def local_path(self, key: str) -> Path | None:
        return None
