"""Whatever goes wrong for a while between us and an S3 store, the right bytes arrive in the end."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ten.store.protocol import Store
from ten.store.s3 import S3Store
from tests.standins.s3 import S3Stand
from tests.standins.s3_faults import Action, Fault
from tests.store.s3_objects import BUCKET, LARGE, MIB, PREFIX, SMALL, put, sha256

pytestmark = pytest.mark.timeout(60)
BRIEF = [Fault("reset"), Fault("hang"), Fault("refuse"), Fault("lost")]
"""Those that happen to a whole request."""
BODILY = [
    Fault("drop"), Fault("drop", bytes=0), Fault("fin"), Fault("stall"), Fault("trickle", rate=300),
]  # fmt: skip
CODES = [
    Fault("refuse", code=code)
    for code in ("InternalError", "ServiceUnavailable", "TooManyRequests", "BadGateway", "RequestTimeout")
]


def some_of(*groups: list[Fault]) -> pytest.MarkDecorator:
    """Faults as a test's parameters: those named, and all others with the slow tests."""
    named = [fault for group in groups for fault in group]
    rest = [fault for fault in BRIEF + BODILY + CODES if fault not in named]
    slow = [pytest.param(fault, marks=pytest.mark.slow, id=label(fault)) for fault in rest]
    return pytest.mark.parametrize("fault", [*(pytest.param(fault, id=label(fault)) for fault in named), *slow])


def label(fault: Fault) -> str:
    """What a fault is called in a test's name."""
    return fault.code if fault.action == "refuse" else f"{fault.action}{fault.bytes if fault.bytes >= 0 else ''}"


def hit(fault: Fault, match: str, count: int = 1, after: int = 0) -> Fault:
    """A fault for some requests."""
    said = {name: getattr(fault, name) for name in ("action", "bytes", "seconds", "rate", "code", "status", "headers")}
    return Fault(**said, match=match, count=count, after=after)


@pytest.fixture(autouse=True)
def struck(stand: S3Stand) -> Iterator[None]:
    """A test whose fault hit nothing has shown nothing."""
    yield
    assert any(request.fault for request in stand.log())


@some_of(BRIEF, BODILY, CODES, [Fault("short")])
def test_an_object_is_read_whole(store: Store, stand: S3Stand, fault: Fault) -> None:
    store.write("a", SMALL)
    stand.add(hit(fault, "GET .*/a"))
    assert store.read("a") == SMALL


@some_of(BODILY, [Fault("short")])
def test_a_range_is_read_whole(store: Store, stand: S3Stand, fault: Fault) -> None:
    stand.put(BUCKET, f"{PREFIX}a", SMALL)
    stand.add(hit(fault, "GET .*/a"))
    assert store.read_range("a", 1000, 500_000) == SMALL[1000:501_000]


@some_of(BODILY, [Fault("reset"), Fault("short")])
@pytest.mark.parametrize("after", [0, 2])
def test_an_object_is_fetched_whole(store: Store, stand: S3Stand, path: Path, fault: Fault, after: int) -> None:
    stand.put(BUCKET, f"{PREFIX}a", LARGE)
    stand.add(hit(fault, "GET .*/a", after=after))
    store.fetch("a", path, sha256=sha256(LARGE))
    assert path.read_bytes() == LARGE
    assert [left.name for left in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("call", ["read", "read_range", "fetch"])
def test_a_body_that_breaks_off_goes_on_at_the_byte(store: Store, stand: S3Stand, path: Path, call: str) -> None:
    stand.put(BUCKET, f"{PREFIX}a", SMALL)
    stand.add(Fault("drop", "GET .*/a", bytes=700_000))
    if call == "fetch":
        store.fetch("a", path)
        assert path.read_bytes() == SMALL
    else:
        assert (store.read("a") if call == "read" else store.read_range("a", 0, MIB)) == SMALL
    assert sum(request.sent for request in stand.log("GET")) <= MIB + 300_000


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_several_refusals_in_a_row_are_outlasted(store: Store, stand: S3Stand, code: str, count: int) -> None:
    stand.put(BUCKET, f"{PREFIX}a", SMALL)
    stand.add(Fault("refuse", code=code, count=count))
    assert store.read("a") == SMALL


@some_of(BRIEF, BODILY)
@pytest.mark.parametrize("call", ["write", "send"])
def test_a_small_object_is_written_whole(store: Store, stand: S3Stand, path: Path, fault: Fault, call: str) -> None:
    stand.add(hit(fault, "PUT .*/a"))
    put(store, path, SMALL, call)
    assert stand.get(BUCKET, f"{PREFIX}a") == SMALL
    assert store.read("a") == SMALL


@pytest.mark.parametrize("match", [r"POST .*uploads", r"PUT .*partNumber=2", r"POST .*uploadId="])
@some_of(BRIEF)
def test_a_large_file_is_sent_whole(store: Store, stand: S3Stand, path: Path, fault: Fault, match: str) -> None:
    stand.add(hit(fault, match))
    put(store, path, LARGE, "send")
    assert sha256(stand.get(BUCKET, f"{PREFIX}a")) == sha256(LARGE)
    if match != r"POST .*uploads":  # one that was begun and never heard of is for the next send
        assert stand.uploads(BUCKET) == []


def test_a_completion_that_fails_with_200_is_no_success(store: Store, stand: S3Stand, path: Path) -> None:
    stand.add(Fault("refuse", r"POST .*uploadId=", code="InternalError", status=200))
    put(store, path, LARGE, "send")
    assert sha256(stand.get(BUCKET, f"{PREFIX}a")) == sha256(LARGE)


def test_many_parts_refused_now_and_then_arrive(store: Store, stand: S3Stand, path: Path) -> None:
    actions: list[Action] = ["refuse", "reset", "drop", "lost"]
    stand.add(*(Fault(action, "PUT", after=after) for after, action in enumerate(actions)))
    put(store, path, LARGE, "send")
    assert sha256(stand.get(BUCKET, f"{PREFIX}a")) == sha256(LARGE)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("action", ["lost", "reset", "refuse"])
def test_the_first_to_write_new_hears_so_even_when_its_answer_was_lost(
    store: Store, stand: S3Stand, action: Action, conditional: bool
) -> None:
    stand.set(conditional=conditional)
    stand.add(Fault(action, r"PUT .*/a\b"))
    assert store.write_new("a", b"mine") is True
    assert store.write_new("a", b"theirs") is False
    assert store.read("a") == b"mine"


def without(store: Store, key: str) -> object:
    """What is known of an object that was deleted."""
    store.delete(key)
    return store.stat(key)


LOOKS: dict[str, Callable[[Store], object]] = {
    "list": lambda store: [found.key for found in store.list("d/")],
    "children": lambda store: list(store.children("d")),
    "stat": lambda store: (found := store.stat("d/a")) and found.bytes,
    "delete": lambda store: without(store, "d/b"),
}


@pytest.mark.parametrize("call", LOOKS)
@some_of([Fault("reset"), Fault("refuse")])
def test_looking_around_finds_what_is_there(store: Store, stand: S3Stand, fault: Fault, call: str) -> None:
    stand.put(BUCKET, f"{PREFIX}d/a", b"12345")
    stand.put(BUCKET, f"{PREFIX}d/b", b"12345")
    undisturbed = {"list": ["d/a", "d/b"], "children": ["a", "b"], "stat": 5, "delete": None}
    stand.add(hit(fault, ""))
    assert LOOKS[call](store) == undisturbed[call]


def test_an_object_replaced_while_it_is_fetched_is_fetched_anew(store: Store, stand: S3Stand, path: Path) -> None:
    stand.put(BUCKET, f"{PREFIX}a", LARGE)
    stand.add(Fault("wait", "GET .*/a", min_start=24 * MIB, seconds=1, count=2))
    other = bytes(reversed(LARGE))
    heard: list[int] = []

    def replace(count: int) -> None:
        if not heard:
            stand.put(BUCKET, f"{PREFIX}a", other)
        heard.append(count)

    store.fetch("a", path, advance=replace)
    assert path.read_bytes() == other
    assert sum(heard) == len(other)


def test_a_store_that_is_slow_but_steady_is_waited_for(store: Store, stand: S3Stand, path: Path) -> None:
    stand.set(latency_ms=50, throttle=MIB)
    stand.add(Fault("wait", seconds=0.5))
    put(store, path, SMALL, "send")
    assert store.read("a") == SMALL


def test_the_first_call_of_all_bears_a_fault_too(address: str, stand: S3Stand) -> None:
    stand.put(BUCKET, f"{PREFIX}a", SMALL)
    stand.add(Fault("refuse"), Fault("reset"))
    with closing(S3Store(address)) as store:
        assert store.read("a") == SMALL
