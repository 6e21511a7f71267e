"""The command line as real processes over one store and the stand-in of the hub, and which row groups these fetched."""

import json
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from ten.data.journal import Journal
from ten.data.recipe import Recipe, make_recipe
from ten.text.pins import decode_corpus
from ten.text.tokens import load_tokenizer
from ten.text.units import Part
from tests.end_to_end.bundle import Bundle
from tests.standins.hub import Hub, Request

_AT_FILE_HOST = re.compile(r"/datasets/[^/]+/[^/]+/[0-9a-f]{40}/(?P<name>[^?]+)")


class Group(NamedTuple):
    """A row group: of which file, and its number there."""

    file: str
    number: int


class HubBundle(Bundle):
    """The command line over one store and one data set at the stand-in of the hub."""

    def __init__(self, hub: Hub, store: Path, dataset: str, tokenizer: Path) -> None:
        super().__init__(store, Path(dataset), tokenizer)
        self.hub, self.tokenizer = hub, tokenizer

    def environment(self, **more: str) -> dict[str, str]:
        """A process's whole environment; it bears a fault for a minute."""
        return self.hub.environment(self.store / "home") | {"TEN_PATIENCE": "60s"} | more

    def start(self, verb: str, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """A job verb as a process that runs."""
        return subprocess.Popen(
            self.command(verb, *words), env=self.environment(**environment),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, verb: str, *words: str, code: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a job verb to its end, and hold its exit code to what is expected."""
        return ended(self.start(verb, *words, **environment), code)

    def plan(self) -> str:
        """The commit that a plan names."""
        return str(json.loads(self.run("plan", "--json").stdout)["revision"])

    def rows(self, run: str = "*") -> list[str]:
        """What tells the rows of each step from any others; of the only run unless named."""
        (path,) = self.store.glob(f"runs/{run}/metrics.jsonl")
        return [json.loads(line)["rows_sha256"] for line in path.read_bytes().splitlines()]

    def steps(self) -> int:
        """Steps whose metrics are written so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.store.glob("runs/*/metrics.jsonl"))

    def shards(self) -> dict[int, bytes]:
        """The bytes of every shard."""
        return {int(path.stem): path.read_bytes() for path in self.store.glob("packs/*/shards/*.safetensors")}

    def journals(self) -> list[Path]:
        """Units that are half packed, some of whose row groups are kept."""
        return [path for path in self.store.glob("packs/*/growing/*.journal") if path.stat().st_size]

    def is_stuck(self) -> bool:
        """Whether a unit is half packed, and the rest of it does not come."""
        return bool(self.journals()) and any(request.fault == "hang" for request in self.hub.log())

    def packed(self) -> set[Group]:
        """Row groups whose tokens are kept, in shards and in journals. No packer may be running."""
        recipe = self._recipe()
        found = {group for unit in self.shards() for part in recipe.units[unit].parts for group in self._groups(part)}
        for path in self.journals():
            parts = recipe.units[int(path.stem)].parts
            part, segments = _place(path)
            found |= {group for before in parts[:part] for group in self._groups(before)}
            found |= {*self._groups(parts[part])[:segments]}
        return found

    def fetched(self, log: Iterable[Request]) -> "Counter[Group]":
        """How often the text of each row group was asked for; that one was asked for behind a break counts as none."""
        begins = {
            (file.name, begin): Group(file.name, number)
            for file in self._recipe().corpus.files
            for number, begin in enumerate(self._begins(file.name))
        }
        return Counter(group for place in _places(log) if (group := begins.get(place)))

    def _recipe(self) -> Recipe:
        """What the store's one pin and the tokenizer come to."""
        (pin,) = self.store.glob("pins/*.json")
        return make_recipe(decode_corpus(pin.read_bytes(), str(pin)), load_tokenizer(str(self.tokenizer)))

    def _groups(self, part: Part) -> list[Group]:
        name = self._recipe().corpus.files[part.file].name
        groups = len(self._begins(name))
        first, last = (-(-groups * bound // part.parts) for bound in (part.part, part.part + 1))
        return [Group(name, number) for number in range(first, last)]

    def _begins(self, name: str) -> list[int]:
        asked = self._recipe().corpus.asked
        assert asked
        return text_begins(self.hub.root / "datasets" / asked.repo / name)


def text_begins(path: Path) -> list[int]:
    """Where the text of each row group begins in a file; text is the first column of all."""
    with pq.ParquetFile(path) as parquet:
        groups = range(parquet.num_row_groups)
        return [int(parquet.metadata.row_group(group).column(0).dictionary_page_offset) for group in groups]


def ended(process: "subprocess.Popen[str]", code: int) -> "subprocess.CompletedProcess[str]":
    """A process's end, with the exit code that is expected."""
    said = _said(process, 240)
    assert process.returncode == code, "".join(said)
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


def interrupted(
    process: "subprocess.Popen[str]", when: Callable[[], bool], by: signal.Signals, within: float = 60
) -> int:
    """Send a process a signal as soon as something has come to be; its exit code, once its helpers are gone too.

    It must end `within` so many seconds of the signal.
    """
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if when():
            process.send_signal(by)
            _said(process, within)
            return process.returncode
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"it did not come to be: {_said(process, 60)}")


def _said(process: "subprocess.Popen[str]", seconds: float) -> tuple[str, str]:
    """What a process has said by its end, which is awaited for so long."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()
        raise AssertionError(f"it did not end: {said}") from None


def repeated(log: Iterable[Request]) -> list[tuple[str, int]]:
    """Files and first bytes that the file host was asked for more than once."""
    return [place for place, count in Counter(_places(log)).items() if count > 1]


def _places(log: Iterable[Request]) -> list[tuple[str, int]]:
    """File and first byte of what the file host was asked for."""
    found = [(_AT_FILE_HOST.match(request.path), request.range) for request in log if request.port == "cdn"]
    return [(match["name"], int(asked.removeprefix("bytes=").partition("-")[0])) for match, asked in found if match]


def _place(path: Path) -> tuple[int, int]:
    """The part that a journal's packer was in, and how many row groups of it are kept."""
    head = json.loads(path.read_bytes().partition(b"\n")[0])
    journal = Journal(path, head["fingerprint"], head["unit"])
    places = [harvest.place for harvest, _ in journal.read()]
    journal.close(done=False)
    return places[-1].part, places[-1].segments
