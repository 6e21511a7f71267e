"""A run in a store that is no folder: the names of its objects, and its checkpoints put there and taken away."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ten.errors import DataError, MissingInput, SpecError, TenError
from ten.store.protocol import Store
from ten.train.checkpoint_files import SEAL, FileSeal, Seal, decode_seal, find_step, folder_name, read_seal, step_of

log = logging.getLogger(__name__)

Advance = Callable[[int], object]
RECORD = "run.json"


class StoredRun:
    """`runs/<id>/` of a store. It knows of the checkpoints that `look` found and `send` put there.

    Methods raise what the store raises.
    """

    def __init__(self, store: Store, run: str) -> None:
        self.store = store
        self.run = run
        self.record: bytes | None = None
        """run.json as `look` found it."""
        self._there: dict[int, set[str]] = {}
        self._distrusted: set[int] = set()
        self._known: set[bytes | None] = {None}
        """What run.json may say while no other process trains the run."""

    def key(self, name: str) -> str:
        """Of an object of the run."""
        return f"runs/{self.run}/{name}"

    def address(self, name: str) -> str:
        """An object of the run, for people."""
        return f"{self.store.url}/{self.key(name)}"

    def checkpoint(self, step: int) -> str:
        """A checkpoint, for people."""
        return self.address(f"checkpoints/{folder_name(step)}")

    def look(self) -> None:
        """Read run.json and see which checkpoints are there, both at once: each is a way to the store and back."""
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.read, RECORD)
            self._there = self._listed()
            self.record = asked.result()
        self._known.add(self.record)

    def complete(self) -> list[int]:
        """Steps of the completed checkpoints, in order."""
        return sorted(step for step, names in self._there.items() if SEAL in names and step not in self._distrusted)

    @property
    def newest(self) -> int | None:
        """Step of the newest completed checkpoint."""
        return max(self.complete(), default=None)

    def distrust(self, step: int) -> None:
        """A checkpoint is damaged: count it as unfinished, until it is sent anew."""
        self._distrusted.add(step)

    def read(self, name: str) -> bytes | None:
        """An object of the run; None where there is none."""
        try:
            return self.store.read(self.key(name))
        except MissingInput:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put an object beside the checkpoints; run.json as `require_alone` allows."""
        if name == RECORD:
            self.require_alone()
            self._known.add(data)
        self.store.write(self.key(name), data)

    def require_alone(self) -> None:
        """Raise SpecError where run.json is not what this process found or wrote: two would mix their files."""
        if self.read(RECORD) not in self._known:
            raise SpecError(
                f"{self.address(RECORD)}: another process trains this run since; end one of the two, or start another "
                "run with --set run=NAME"
            )

    def seal(self, step: int) -> Seal:
        """COMPLETE of a checkpoint; DataError when it is damaged."""
        name = f"checkpoints/{folder_name(step)}/{SEAL}"
        seal = decode_seal(self.store.read(self.key(name)), self.address(name))
        if seal.step != step:
            raise DataError(f"{self.address(name)}: is that of step {seal.step}")
        return seal

    def fetch(self, step: int, name: str, path: Path, file: FileSeal, advance: Advance) -> None:
        """A file of a checkpoint; DataError when it is damaged."""
        key = self.key(f"checkpoints/{folder_name(step)}/{name}")
        self.store.fetch(key, path, sha256=file.sha256, advance=advance)

    def send(self, folder: Path, advance: Advance, before_seal: Callable[[], None]) -> None:
        """Publish a checkpoint: files that are not there yet, then what `before_seal` writes, then COMPLETE."""
        self.require_alone()
        seal, step = read_seal(folder), step_of(folder)
        place = self.key(f"checkpoints/{folder_name(step)}")
        there = self._there.setdefault(step, set())
        if there:  # an earlier attempt began it, or left a damaged one: unfinished until all of it is right
            self.store.delete(f"{place}/{SEAL}")
            there.discard(SEAL)
        self._distrusted.discard(step)
        for name, file in seal.files.items():
            if name in there and self._has(f"{place}/{name}", file):
                advance(file.bytes)
                continue
            self.store.send(f"{place}/{name}", folder / name, sha256=file.sha256, advance=advance)
            there.add(name)
        before_seal()
        self.store.write(f"{place}/{SEAL}", (folder / SEAL).read_bytes())
        there.add(SEAL)

    def retain(self, keep_last: int) -> None:
        """Delete all but the newest `keep_last` completed checkpoints, and what was never completed."""
        for step in self._there.keys() - self.complete()[-keep_last:]:
            names = self._there[step]
            # COMPLETE goes first: whoever looks meanwhile must see an unfinished checkpoint, not a damaged one.
            for name in [SEAL, *sorted(names - {SEAL})]:
                self.store.delete(self.key(f"checkpoints/{folder_name(step)}/{name}"))
            del self._there[step]

    def _listed(self) -> dict[int, set[str]]:
        prefix = self.key("checkpoints/")
        there: dict[int, set[str]] = {}
        for found in self.store.list(prefix):
            folder, _, name = found.key.removeprefix(prefix).partition("/")
            if (step := find_step(folder)) is not None:
                there.setdefault(step, set()).add(name)
        return there

    def _has(self, key: str, file: FileSeal) -> bool:
        found = self.store.stat(key)
        return found is not None and (found.bytes, found.sha256) == (file.bytes, file.sha256)


def try_to_retain(run: StoredRun, keep_last: int) -> None:
    """The same, and only a warning where the store does not let it happen: nothing is lost by it."""
    try:
        run.retain(keep_last)
    except TenError as error:
        log.warning("older checkpoints stay in the store, more than checkpoint.keep_last=%d: %s", keep_last, error)
