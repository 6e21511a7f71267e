"""The packer process: it never hangs its trainer, and never outlives it."""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ten.data.cache import ShardCache
from ten.data.packer import Growth, Packer
from ten.data.packer_messages import Event, PackerOrder
from ten.data.recipe import Recipe
from ten.data.supply import Supply
from ten.errors import DataError, MissingInput, ServiceUnavailable, SpecError, TenError
from ten.store.local import LocalStore
from tests.data.small import is_alive, jsonl, kill, make_texts, recipe_of, run_python, wait_until

ROOT = str(Path(__file__).parents[2])


def order(recipe: Recipe, store: Path, **options: object) -> PackerOrder:
    return PackerOrder(recipe=recipe, store=str(store), engine="tokenizers", **options)  # type: ignore[arg-type]


@pytest.fixture
def packer(recipe: Recipe, tmp_path: Path) -> Iterator[Packer]:
    """A running packer process."""
    packer = Packer(order(recipe, tmp_path))
    yield packer
    packer.close()


@pytest.fixture
def stuck(recipe: Recipe, tmp_path: Path) -> Iterator[Packer]:
    """A packer whose corpus is a pipe that nobody writes into."""
    corpus = msgspec.structs.replace(recipe.corpus, files=_behind_a_pipe(recipe, tmp_path))
    packer = Packer(order(msgspec.structs.replace(recipe, corpus=corpus), tmp_path), patience_s=1.0)
    yield packer
    packer.close()


def _behind_a_pipe(recipe: Recipe, folder: Path) -> tuple[object, ...]:
    os.mkfifo(folder / "pipe.jsonl")
    return (msgspec.structs.replace(recipe.corpus.files[0], path=str(folder / "pipe.jsonl")),)


def test_a_unit_is_packed_on_request(packer: Packer, recipe: Recipe, tmp_path: Path) -> None:
    packer.request(3)
    packer.request(3)
    packer.wait_done(3)
    shard = ShardCache(LocalStore(tmp_path), recipe).find(3)
    assert shard is not None and shard.header.unit == 3


def test_growth_ends_with_none_when_the_shard_is_whole(packer: Packer, recipe: Recipe, tmp_path: Path) -> None:
    packer.request(0, grow=True)
    seen = 0
    while (part := packer.wait_tokens(0, seen + 1)) is not None:
        assert part[0].size > seen
        seen = part[0].size
    packer.wait_done(0)
    shard = ShardCache(LocalStore(tmp_path), recipe).find(0)
    assert shard is not None and seen in (0, len(shard.tokens))


def test_growth_hands_out_what_it_has() -> None:
    growth = Growth("<u2")
    assert [array.size for array in growth.snapshot()] == [0, 0]
    growth.add(np.array([1, 2, 0], dtype="<u2").tobytes(), (3,))
    early = growth.snapshot()
    growth.add(np.array([3, 0, 0], dtype="<u2").tobytes(), (5, 6))
    assert early[0].tolist() == [1, 2, 0] and early[1].tolist() == [3]
    tokens, ends = growth.snapshot()
    assert (tokens.tolist(), ends.tolist(), growth.tokens) == ([1, 2, 0, 3, 0, 0], [3, 5, 6], 6)


def test_a_killed_packer_is_an_error_not_a_hang(stuck: Packer) -> None:
    stuck.request(0)
    kill(stuck._process.pid)
    begin = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"packer process was killed by signal 9.*run the same command again"):
        stuck.wait_done(0)
    with pytest.raises(ServiceUnavailable, match="killed by signal 9"):
        stuck.wait_tokens(1, 1)
    stuck.request(1)
    with pytest.raises(ServiceUnavailable):
        stuck.wait_done(1)
    assert time.monotonic() - begin < 30


def test_a_silent_packer_is_an_error_past_the_deadline(stuck: Packer) -> None:
    stuck.request(0)
    with pytest.raises(ServiceUnavailable, match=r"said nothing for \d+ s while unit 0 of .* was awaited"):
        stuck.wait_done(0)


def test_a_packer_that_had_nothing_to_do_is_not_taken_for_silent(recipe: Recipe, tmp_path: Path) -> None:
    """A trainer may read cached shards for hours between two requests."""
    packer = Packer(order(recipe, tmp_path), patience_s=20)
    try:
        packer.request(0)
        packer.wait_done(0)
        packer._heard -= 10_000
        packer.request(1)
        packer.wait_done(1)
    finally:
        packer.close()


TALKING = """
import sys
for line in {lines!r}:
    print(line, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def talking(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Packer]]:
    """Opens a packer whose process says these events and no more."""
    opened: list[Packer] = []

    def start(*events: Event, patience_s: float = 60.0) -> Packer:
        code = TALKING.format(lines=[msgspec.json.encode(event).decode() for event in events])
        monkeypatch.setattr(sys, "executable", _python_that_runs(tmp_path, code))
        opened.append(Packer(order(recipe, tmp_path), patience_s))
        return opened[-1]

    yield start
    for packer in opened:
        packer.close()


def test_what_running_units_cost_counts_once(talking: Callable[..., Packer]) -> None:
    packer = talking(
        Event(kind="done", unit=0, supply=Supply(tokenize_s=5.0, text_bytes=10)),
        Event(kind="alive", unit=1, supply=Supply(network_s=1.0, text_bytes=1)),
        Event(kind="alive", unit=1, supply=Supply(network_s=2.0, text_bytes=2)),
        Event(kind="alive", unit=2, supply=Supply(network_s=4.0, text_bytes=4)),
        Event(kind="done", unit=2, supply=Supply(network_s=8.0, text_bytes=8)),
        Event(kind="epoch", tokens=7),
    )
    assert packer.epoch_tokens() == 7
    assert packer.supply == Supply(tokenize_s=5.0, network_s=10.0, text_bytes=20)


def test_a_packer_that_has_said_nothing_has_no_text_yet(stuck: Packer) -> None:
    assert re.fullmatch(r"the packer has no text yet \(last heard of \d s ago\)", stuck.holdup())


def test_a_wait_of_the_trainer_tells_what_the_packer_does(
    talking: Callable[..., Packer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ten.data.waiting._FIRST_S", 0.0)
    spent = Supply(network_s=9.0, tokenize_s=1.0, text_bytes=2 * 10**6)
    packer = talking(Event(kind="alive", unit=1, supply=spent), patience_s=1.0)
    wait_until(lambda: packer.supply == spent)
    with pytest.raises(ServiceUnavailable):
        packer.wait_done(1)
    said = caplog.messages[0]
    assert re.fullmatch(
        r"waited \d s for unit 1 of .*: the packer waits for the network "
        r"\(0\.2 MB/s of text a thread so far, last heard of \d s ago\)",
        said,
    )


def test_a_failure_ahead_is_told_once_while_training_goes_on(
    talking: Callable[..., Packer], caplog: pytest.LogCaptureFixture
) -> None:
    packer = talking(
        *(Event(kind="failed", unit=unit, error="ServiceUnavailable", message="no answer") for unit in (3, 4)),
        Event(kind="done", unit=0),
    )
    wait_until(lambda: 0 in packer._done)
    packer.wait_done(0)
    assert caplog.messages == ["packing failed: no answer; training goes on with the shards that are ready"]
    with pytest.raises(ServiceUnavailable, match="no answer"):
        packer.wait_done(3)


@pytest.mark.parametrize("when", ["before the order is read", "idle", "after it was killed", "while it waits"])
def test_closing_ends_the_process(recipe: Recipe, tmp_path: Path, when: str, request: pytest.FixtureRequest) -> None:
    packer: Packer = request.getfixturevalue("stuck") if when == "while it waits" else Packer(order(recipe, tmp_path))
    if when in ("idle", "after it was killed"):
        packer.request(0)
        packer.wait_done(0)
    if when == "after it was killed":
        kill(packer._process.pid)
        packer._process.wait()
        packer.request(1)
    if when == "while it waits":
        packer.request(0)
    packer.close()
    packer.close()
    assert packer._process.returncode is not None
    assert not packer._listener.is_alive()
    with pytest.raises(ServiceUnavailable):
        packer.wait_done(7)


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        ("broken record", DataError, r"a\.jsonl: line 1 \(at byte 0\) is no record with a text"),
        ("gone", MissingInput, r"a\.jsonl: the file has gone"),
        ("store", SpecError, r"no store for gopher://"),
    ],
)
def test_errors_cross_the_pipe_with_their_type(tmp_path: Path, damage: str, kind: type[TenError], words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(make_texts(100)))
    recipe = recipe_of(path)
    if damage == "broken record":
        path.write_bytes(b"{broken\n" + path.read_bytes()[8:])
    elif damage == "gone":
        path.unlink()
    store = "gopher://host" if damage == "store" else str(tmp_path)
    packer = Packer(PackerOrder(recipe=recipe, store=store))
    try:
        packer.request(0)
        with pytest.raises(kind, match=words):
            packer.wait_done(0)
    finally:
        packer.close()


def test_an_error_in_a_later_unit_crosses_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(make_texts(1500)) + b"{broken\n")
    recipe = recipe_of(path)
    packer = Packer(order(recipe, tmp_path))
    try:
        packer.request(0)
        packer.wait_done(0)
        packer.request(len(recipe.units) - 1)
        with pytest.raises(DataError, match=r"a\.jsonl: line \d+ \(at byte \d+\) is no record"):
            packer.wait_done(len(recipe.units) - 1)
    finally:
        packer.close()


TRAINER = """
import sys, time, msgspec
from pathlib import Path
from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
packer = Packer(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=PackerOrder))
packer.request(0, grow=True)
print(packer._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("busy", [False, True])
def test_a_packer_ends_when_its_trainer_is_killed(recipe: Recipe, tmp_path: Path, busy: bool) -> None:
    if busy:
        corpus = msgspec.structs.replace(recipe.corpus, files=_behind_a_pipe(recipe, tmp_path))
        recipe = msgspec.structs.replace(recipe, corpus=corpus)
    (tmp_path / "order.json").write_bytes(msgspec.json.encode(order(recipe, tmp_path)))
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(tmp_path / "order.json")],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert trainer.stdout is not None
    packer = int(trainer.stdout.readline())
    assert is_alive(packer)
    if not busy:
        wait_until(lambda: len(list(tmp_path.rglob("00000.safetensors"))) == 1)
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    wait_until(lambda: not is_alive(packer), seconds=30)


CHATTY = """
import os, sys
from ten.data import packer_process
serve = packer_process._Server._serve
def chatty(*arguments):
    print("a library says hello")
    os.write(1, b"and so does its C part\\n")
    serve(*arguments)
packer_process._Server._serve = chatty
packer_process.main()
"""


def test_what_a_library_prints_does_not_reach_the_pipe(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", _python_that_runs(tmp_path, CHATTY))
    packer = Packer(order(recipe, tmp_path))
    try:
        packer.request(0)
        packer.wait_done(0)
    finally:
        packer.close()


def _python_that_runs(folder: Path, code: str) -> str:
    (folder / "process.py").write_text(code)
    script = folder / "python"
    script.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {folder / 'process.py'}\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("garbage", ["no json", '{"kind": "nonsense"}', ""])
def test_a_packer_that_talks_nonsense_is_an_error(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, garbage: str
) -> None:
    code = f"import sys\nprint({garbage!r}, flush=True)\nsys.stdin.read()"
    monkeypatch.setattr(sys, "executable", _python_that_runs(tmp_path, code))
    packer = Packer(order(recipe, tmp_path))
    try:
        with pytest.raises(ServiceUnavailable):
            packer.wait_done(0)
    finally:
        packer.close()


NO_TORCH = """
import sys
sys.modules["torch"] = None  # importing it raises from now on
import ten.data.packer_process
ten.data.packer_process.main()
"""


def test_the_packer_process_works_where_torch_cannot_be_imported(corpus_path: Path, tmp_path: Path) -> None:
    order_line = msgspec.json.encode(PackerOrder(recipe=recipe_of(corpus_path), store=str(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, "-c", NO_TORCH],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(order_line + b'\n{"type": "pack", "unit": 0}\n')
        process.stdin.flush()
        events = [json.loads(process.stdout.readline())]
    process.wait(30)
    assert [event["kind"] for event in events] == ["done"]


def test_nothing_that_the_packer_process_imports_imports_torch() -> None:
    code = textwrap.dedent("""
        import sys, ten.data.packer_process, ten.text.parquet
        import gigatoken, fastokens, tiktoken, tokenizers
        print(sorted(name for name in sys.modules if name.partition(".")[0] == "torch"))
    """)
    assert run_python(code, PYTHONPATH=ROOT).strip() == "[]"


def test_a_parquet_corpus_needs_no_more(tmp_path: Path) -> None:
    from tests.data.small import write_parquet

    recipe = recipe_of(write_parquet(tmp_path / "a.parquet", make_texts(50)))
    packer = Packer(order(recipe, tmp_path, threads=2))
    try:
        for unit in recipe.units:
            packer.request(unit.index)
        for unit in recipe.units:
            packer.wait_done(unit.index)
    finally:
        packer.close()
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(recipe.units)
