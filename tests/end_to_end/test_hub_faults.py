"""What goes wrong at the hub: one line that says what to do, an exit code and no secret; nothing if it passes."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ten.cli import main
from ten.hub import transport as transport_module
from ten.text import hub_parquet
from tests.end_to_end.bundle import TINY
from tests.end_to_end.hub_bundle import HubBundle, ended
from tests.standins import hub_corpora
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault
from tests.standins.hub_repos import Access

TALES, GATED, PRIVATE = "standin/tales", "standin/gated", "standin/private"
CANARY = "hf_canary_that_must_not_sing"
FILE = "data/train-00000-of-00002.parquet"

Ten = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The process, with data sets that are public, gated, private, damaged, or without text."""
    root = tmp_path_factory.mktemp("hub")
    files = {f"data/train-{number:05d}-of-00002.parquet": 100 for number in range(2)}
    for repo, access in (
        (TALES, None),
        (GATED, Access(gated="manual", tokens=(CANARY,))),
        (PRIVATE, Access(private=True, tokens=(CANARY,))),
    ):
        hub_corpora.parquet_repository(root, repo, files, group=20, sentences=8, access=access)
    hub_corpora.wikitext(root)
    hub_corpora.csv_files(root)
    whole = (root / "datasets" / TALES / FILE).read_bytes()
    (hub_corpora.repository(root, "standin/cut") / "train.parquet").write_bytes(whole[:-3000])
    numbers = pa.table({"score": pa.array([1, 2]), "rank": pa.array([3, 4])})
    pq.write_table(numbers, hub_corpora.repository(root, "standin/numbers") / "train.parquet")
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(standin: Hub) -> Hub:
    """The same with nothing wrong and an empty log."""
    standin.clear()
    return standin


@pytest.fixture
def ten(
    hub: Hub, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Ten]:
    """The command line in this process, over a store of its own: exit code and all it said. No secret leaves it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transport_module, "_shared", None)

    def run(verb: str, dataset: str, *words: str, **environment: str) -> tuple[int, str]:
        wanted = hub.environment(tmp_path / "home") | {"TEN_PATIENCE": "4s", "TEN_STORE": str(tmp_path / "store")}
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in (wanted | environment).items():
            monkeypatch.setenv(name, value)
        _hang_up(monkeypatch)
        code = main([verb, "--dataset", dataset, "--tokenizer", str(tokenizer), *words])
        said = "".join(capfd.readouterr())
        assert not _secrets(said.encode())
        return code, said

    yield run
    _hang_up(monkeypatch)
    logging.getLogger("ten").handlers.clear()
    assert not _leaks(tmp_path)


def _hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the hub as a new process would."""
    if transport_module._shared is not None:
        transport_module._shared[1].close()
    monkeypatch.setattr(transport_module, "_shared", None)
    hub_parquet._read_footer.cache_clear()


def _secrets(data: bytes) -> bool:
    return CANARY.encode() in data or b"X-Signed" in data


def _leaks(folder: Path) -> list[Path]:
    """Files with a secret in them."""
    return [path for path in folder.rglob("*") if path.is_file() and _secrets(path.read_bytes())]


def _assert_refused(result: tuple[int, str], code: int, *words: str) -> None:
    """The code, one line that says these words, and no traceback."""
    found, said = result
    assert found == code, said
    complaint = [line for line in said.splitlines() if line.startswith("ten: ")]
    assert len(complaint) == 1, said
    assert "Traceback" not in said
    for word in words:
        assert word in complaint[0]


def test_an_unknown_name_gets_the_nearest_and_the_list(ten: Ten) -> None:
    names = ("finewebedu", "openwebtext", "pg19", "wikitext-103", "imdb", "ag_news", "tinystories")
    _assert_refused(ten("pack", "finewebedo"), 66, "finewebedo", "did you mean 'finewebedu'", "namespace/repo", *names)


def test_who_may_not_read_is_told_where_to_ask(ten: Ten, hub: Hub) -> None:
    _assert_refused(ten("pack", "standin/nothing"), 66, "no dataset standin/nothing", "private", "HF_TOKEN")
    _assert_refused(ten("pack", PRIVATE), 66, f"no dataset {PRIVATE}", "or it is private", "HF_TOKEN")
    page = f"{hub.endpoint}/datasets/{GATED}"
    _assert_refused(ten("pack", GATED), 77, f"{GATED} is gated", f"ask for access at {page}", "set HF_TOKEN")
    _assert_refused(ten("pack", GATED, HF_TOKEN="hf_another"), 77, f"{GATED} is gated", page, "of that account")
    _assert_refused(ten("pack", TALES, HF_TOKEN="no-token"), 77, "HF_TOKEN", "settings/tokens")


@pytest.mark.parametrize("repo", [GATED, PRIVATE])
def test_who_may_read_does_and_the_token_stays_with_the_hub(ten: Ten, hub: Hub, repo: str) -> None:
    hub.add(Fault("redirect", port="cdn", to=f"http://localhost:{hub.cdn_port}"))
    code, said = ten("pack", repo, HF_TOKEN=CANARY)
    assert code == 0, said
    assert {request.had_authorization for request in hub.log("hub")} == {True}
    assert {request.had_authorization for request in hub.log("cdn")} == {False}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["Salesforce/wikitext:wikitext-104-raw-v1"], 78, ["did you mean", "wikitext-103-raw-v1, wikitext-2-raw-v1"]),
        (["Salesforce/wikitext"], 78, ["choose a config", "wikitext-103-raw-v1, wikitext-2-raw-v1"]),
        (["wikitext-103", "--split", "dev"], 78, ["no split 'dev'", "known: test, train, validation"]),
        (["standin/numbers"], 65, ["train.parquet", "no column named 'text'", "none; others: score, rank"]),
        ([TALES, "--text-column", "body"], 65, ["no text column 'body'", "text, id, url; others: score"]),
        ([TALES, "--revision", "v9"], 66, [TALES, "no revision 'v9'", f"/datasets/{TALES}/tree/main"]),
        (["standin/cut"], 65, ["train.parquet: not a whole Parquet file", "half written", "--revision"]),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_is(ten: Ten, words: list[str], code: int, said: list[str]) -> None:
    _assert_refused(ten("pack", *words), code, *said)


def test_a_pinned_commit_that_is_gone_is_named(ten: Ten, tmp_path: Path) -> None:
    assert ten("plan", TALES)[0] == 0
    (pin,) = tmp_path.glob("store/pins/*.json")
    commit = re.search(r'"revision": "([0-9a-f]{40})"', text := pin.read_text())
    assert commit
    pin.write_text(text.replace(commit[1], "f" * 40))
    _assert_refused(ten("pack", TALES), 66, f"{TALES} has no revision '{'f' * 40}'")


def test_offline_with_nothing_kept_is_an_error_at_once(ten: Ten, hub: Hub) -> None:
    _assert_refused(ten("pack", TALES, HF_HUB_OFFLINE="1"), 69, TALES, "HF_HUB_OFFLINE", "unset it")
    assert hub.log() == []


PERMANENT: dict[str, Fault] = {
    "503": Fault("status", port="cdn", status=503, count=-1),
    "stall": Fault("stall", port="cdn", bytes=50, count=-1),
    "hang": Fault("hang", port="cdn", count=-1),
    "drop": Fault("drop", port="cdn", bytes=0, count=-1),
    "trickle": Fault("trickle", port="cdn", rate=100, count=-1),
    "hub": Fault("status", match="/resolve/", status=500, count=-1),
}


@pytest.mark.parametrize("name", PERMANENT)
def test_what_stays_ends_the_command_at_its_deadline(ten: Ten, hub: Hub, name: str) -> None:
    hub.add(PERMANENT[name])
    began = time.monotonic()
    result = ten("pack", TALES, TEN_PATIENCE="2s")
    assert time.monotonic() - began < 20
    _assert_refused(result, 69, f"of hf://datasets/{TALES}@", FILE, "without progress", "HF_ENDPOINT", "TEN_PATIENCE")


def test_a_hub_that_is_not_there_ends_the_command_at_its_deadline(ten: Ten, hub: Hub, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    result = ten("pack", TALES, TEN_PATIENCE="1s", HF_ENDPOINT=url)
    _assert_refused(result, 69, TALES, "refused", "without progress", url)


TRANSIENT: dict[str, Fault] = {
    "drop": Fault("drop", port="cdn", count=2),
    "closed": Fault("fin", port="cdn", count=2),
    "reset": Fault("reset", port="cdn", count=2),
    "stall": Fault("stall", port="cdn"),
    "hang": Fault("hang", port="cdn"),
    "trickle": Fault("trickle", port="cdn"),
    "500": Fault("status", port="cdn", status=500),
    "503": Fault("status", port="cdn", status=503, headers={"Retry-After": "1"}),
    "429": Fault("status", port="cdn", status=429, headers={"RateLimit": '"resolvers";r=0;t=1'}),
    "short": Fault("short", port="cdn", count=3),
    "whole": Fault("ignore_range", port="cdn", count=3),
    "page": Fault("html", port="cdn"),
    "elsewhere": Fault("redirect", port="cdn", count=3),
    "expired": Fault("expired", port="cdn", after=1, count=2),
    "footer": Fault("wrong_bytes", port="cdn"),
    "row_group": Fault("wrong_bytes", port="cdn", after=1),
    "hub_429": Fault("status", port="hub", status=429, headers={"Retry-After": "1"}, count=2),
    "hub_500": Fault("status", port="hub", status=500, after=2),
    "hub_reset": Fault("reset", port="hub", after=1),
}


@pytest.fixture(scope="module")
def whole(standin: Hub, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """The shards of a pack that nothing disturbed."""
    standin.clear()
    bundle = HubBundle(standin, tmp_path_factory.mktemp("whole"), TALES, tokenizer)
    bundle.run("pack")
    return bundle.shards()


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_passes_costs_no_byte(
    ten: Ten, hub: Hub, whole: dict[int, bytes], tokenizer: Path, tmp_path: Path, name: str
) -> None:
    fault = TRANSIENT[name]
    hub.add(replace(fault, to=f"http://localhost:{hub.cdn_port}") if fault.action == "redirect" else fault)
    code, said = ten("pack", TALES)
    assert code == 0, said
    assert HubBundle(hub, tmp_path / "store", TALES, tokenizer).shards() == whole
    assert [request for request in hub.log() if request.fault]


def test_a_signed_address_that_expires_between_requests_is_asked_for_again(
    ten: Ten, hub: Hub, whole: dict[int, bytes], tokenizer: Path, tmp_path: Path
) -> None:
    hub.set(url_life_s=0.1, latency_ms=30)
    assert ten("pack", TALES)[0] == 0
    assert HubBundle(hub, tmp_path / "store", TALES, tokenizer).shards() == whole
    assert any(request.status == 403 for request in hub.log("cdn"))


def test_with_skip_bad_the_pack_is_made_and_says_what_it_lacks(ten: Ten, hub: Hub) -> None:
    assert ten("plan", TALES)[0] == 0
    hub.add(Fault("wrong_bytes", match=FILE, port="cdn", after=1, count=-1))
    code, said = ten("pack", TALES, "--skip_bad")
    assert code == 0, said
    assert "row group 0 does not decode" in said


def test_a_run_keeps_the_token_to_itself(hub: Hub, tokenizer: Path, tmp_path: Path) -> None:
    words = [*TINY, "--streaming", "--seq-len", "256", "--batch-size", "2", "--steps", "2"]
    hub.add(Fault("status", port="cdn", status=503))
    process = HubBundle(hub, tmp_path / "good", GATED, tokenizer).start("train", *words, HF_TOKEN=CANARY)
    seen: set[bytes] = set()
    while process.poll() is None:
        seen |= _command_lines()
        time.sleep(0.05)
    good = ended(process, 0)
    hub.add(Fault("status", port="cdn", status=503, count=-1))
    patience = {"HF_TOKEN": CANARY, "TEN_PATIENCE": "2s"}
    bad = ended(HubBundle(hub, tmp_path / "bad", GATED, tokenizer).start("train", *words, **patience), 69)
    assert "without progress" in bad.stderr
    assert any(b"packer_process" in line for line in seen)
    assert not any(
        _secrets(said) for said in (*seen, *(text.encode() for text in (good.stdout, good.stderr, bad.stderr)))
    )
    assert not _leaks(tmp_path)
    assert [*tmp_path.glob("good/runs/*/run.json")] and [*tmp_path.glob("*/pins/*.json")]


def _command_lines() -> set[bytes]:
    """Of all processes."""
    found: set[bytes] = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(path.read_bytes())
    return found
