"""Pins: one commit for every rank, attempt and later job over a store."""

import logging
import threading
import time
from pathlib import Path

import msgspec
import pytest

from ten.errors import DataError, ServiceUnavailable
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.store.protocol import Store
from ten.text.corpus import Corpus, HubRequest, SourceFile
from ten.text.pins import (
    decode_corpus,
    encode_corpus,
    keep_corpus,
    known_corpus,
    pin_key,
    pinned_corpus,
    pinned_units,
)
from ten.text.units import Part, Unit
from tests.data.small import CountingStore

REQUEST = HubRequest(repo="tales/grimm")
COMMITS = [f"{number:040x}" for number in range(1, 9)]


class Branch:
    """A dataset whose branch moves with every look at it."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self, request: HubRequest = REQUEST) -> Corpus:
        commit = COMMITS[self.looks]
        self.looks += 1
        path = f"hf://datasets/{request.repo}@{commit}/a.parquet"
        file = SourceFile(name="a.parquet", path=path, bytes=7, probe="sha256:" + "0" * 64)
        return Corpus(
            dataset="tales/grimm",
            slug="grimm",
            revision=commit,
            files=(file,),
            held_out_files=0,
            text_column="text",
            asked=request,
        )


def ask(store: Store, branch: Branch, request: HubRequest = REQUEST, run: str = "a", **options: bool | float) -> Corpus:
    leads, patience_s = bool(options.get("leads", True)), float(options.get("patience_s", 5))
    return pinned_corpus(
        store, request, "grimm", lambda: branch.look(request), run=run, leads=leads, patience_s=patience_s
    )


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty store."""
    return LocalStore(tmp_path / "store")


def test_a_dataset_is_looked_up_once_for_all_jobs_over_a_store(store: LocalStore) -> None:
    branch = Branch()
    first = ask(store, branch)
    assert ask(store, branch, run="b") == ask(LocalStore(Path(store.url)), branch, run="c") == first
    assert (first.revision, branch.looks) == (COMMITS[0], 1)


def test_what_is_asked_otherwise_is_pinned_apart(store: LocalStore) -> None:
    branch = Branch()
    requests = [
        REQUEST,
        HubRequest(repo="tales/grimm", config="en"),
        HubRequest(repo="tales/grimm", split="validation"),
        HubRequest(repo="tales/grimm", revision="v1"),
        HubRequest(repo="tales/grimm", text_column="body"),
    ]
    found = [ask(store, branch, request) for request in requests]
    assert len({corpus.revision for corpus in found}) == branch.looks == len(requests)
    assert len({pin_key(request, "grimm") for request in requests}) == len(requests)
    assert [ask(store, branch, request) for request in requests] == found


def test_a_new_pin_is_told_with_the_way_to_a_newer_one(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    branch = Branch()
    place = store.local_path(pin_key(REQUEST, "grimm"))
    with caplog.at_level(logging.INFO):
        ask(store, branch)
        ask(store, branch)
    assert [record.getMessage() for record in caplog.records] == [
        "tales/grimm: split train, 1 file, 0.007 kB",
        f"tales/grimm: main is commit {COMMITS[0][:12]}, pinned in {place}; delete that file to take a newer one",
    ]
    assert place is not None
    place.unlink()
    assert ask(store, branch).revision == COMMITS[1]


def test_a_new_pin_tells_which_config_was_chosen_and_which_is_registered(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    request = HubRequest(repo="HuggingFaceFW/fineweb-edu")
    corpus = msgspec.structs.replace(Branch().look(request), config="default")
    large = msgspec.structs.replace(corpus, files=(msgspec.structs.replace(corpus.files[0], bytes=9 * 10**12),))
    with caplog.at_level(logging.INFO):
        pinned_corpus(store, request, "fineweb-edu", lambda: large, run="a")
    assert (
        "HuggingFaceFW/fineweb-edu: config default, split train, 1 file, 9e+03 GB; "
        "finewebedu is config sample-10BT of it"
    ) in caplog.text


def test_a_run_that_goes_on_from_another_commit_than_the_pin_says_so(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    branch = Branch()
    folder = store.local_path("runs/a")
    assert folder is not None
    keep_corpus(folder, branch.look())
    ask(store, branch, run="b")
    with caplog.at_level(logging.INFO):
        ask(store, branch, run="a")
    ours, theirs = COMMITS[0][:12], COMMITS[1][:12]
    assert f"tales/grimm: run a goes on from its own commit {ours}; the store has pinned {theirs}" in caplog.text


def test_a_subset_is_counted_once_and_by_those_who_lead(store: LocalStore) -> None:
    corpus, counted = Branch().look(), list[int]()
    units = (Unit(index=0, parts=(Part(file=0, records=3),)),)

    def count() -> tuple[Unit, ...]:
        counted.append(3)
        return units

    with pytest.raises(ServiceUnavailable, match="has not counted the first 3 records of tales/grimm within 0 s"):
        pinned_units(store, corpus, 3, count, leads=False, patience_s=0.2)
    assert not counted
    assert pinned_units(store, corpus, 3, count) == pinned_units(store, corpus, 3, count, leads=False) == units
    assert counted == [3]


def test_a_subset_is_counted_anew_when_units_are_planned_otherwise(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, plans = Branch().look(), list[str]()
    large = msgspec.structs.replace(corpus, files=(msgspec.structs.replace(corpus.files[0], bytes=10**9),))

    def count() -> tuple[Unit, ...]:
        plans.append("counted")
        return ()

    pinned_units(store, large, 3, count)
    monkeypatch.setattr("ten.text.units.MAX_UNIT_TEXT_BYTES", 2**20)
    pinned_units(store, large, 3, count)
    assert len(plans) == 2


def test_a_runs_own_record_wins_over_the_store(store: LocalStore) -> None:
    branch = Branch()
    earlier = branch.look()
    folder = store.local_path("runs/a")
    assert folder is not None
    keep_corpus(folder, earlier)
    assert ask(store, branch, run="b").revision == COMMITS[1]
    assert ask(store, branch, run="a") == earlier


def test_a_run_restored_by_its_commit_finds_its_own_record(store: LocalStore) -> None:
    branch = Branch()
    earlier = branch.look()
    folder = store.local_path("runs/a")
    assert folder is not None
    keep_corpus(folder, earlier)
    assert ask(store, branch, HubRequest(repo="tales/grimm", revision=earlier.revision)) == earlier
    assert ask(store, branch, HubRequest(repo="tales/grimm", revision="v2")).revision == COMMITS[1]


def test_a_record_of_another_dataset_does_not_count(store: LocalStore) -> None:
    branch = Branch()
    folder = store.local_path("runs/a")
    assert folder is not None
    keep_corpus(folder, branch.look(HubRequest(repo="tales/andersen")))
    assert ask(store, branch).asked == REQUEST


def test_only_hub_datasets_are_kept_beside_a_run(tmp_path: Path) -> None:
    local = msgspec.structs.replace(Branch().look(), asked=None)
    keep_corpus(tmp_path, local)
    assert list(tmp_path.iterdir()) == []


def test_those_who_do_not_lead_wait_for_the_pin(store: LocalStore) -> None:
    branch, found = Branch(), list[Corpus]()
    follower = threading.Thread(target=lambda: found.append(ask(store, branch, leads=False)))
    follower.start()
    time.sleep(0.2)
    assert branch.looks == 0
    led = ask(store, branch)
    follower.join(10)
    assert found == [led]


def test_a_wait_ends_and_names_what_was_awaited(store: LocalStore) -> None:
    with pytest.raises(ServiceUnavailable, match=r"pins/grimm-\w{8}\.json: .* looked up tales/grimm within 0 s"):
        ask(store, Branch(), leads=False, patience_s=0.3)


def test_of_two_leaders_at_once_the_first_to_pin_is_followed(store: LocalStore) -> None:
    branch = Branch()
    winner: list[Corpus] = []

    def overtaken() -> Corpus:
        winner.append(ask(store, branch, run="other"))
        return branch.look()

    found = pinned_corpus(store, REQUEST, "grimm", overtaken, run="a")
    assert [found] == winner


def test_a_store_that_is_no_folder_keeps_pins_too() -> None:
    store, branch = MemoryStore(), Branch()
    assert ask(store, branch) == ask(store, branch)
    assert branch.looks == 1


def test_what_nobody_asked_for_is_not_known() -> None:
    store, branch = MemoryStore(), Branch()
    assert known_corpus(store, REQUEST, "grimm", run="a") is None
    pinned = ask(store, branch)
    assert known_corpus(store, REQUEST, "grimm", run="a") == pinned
    own = branch.look()
    store.write("runs/a/corpus.json", encode_corpus(own))
    assert known_corpus(store, REQUEST, "grimm", run="a") == own


def test_a_damaged_pin_is_named(store: LocalStore) -> None:
    store.write(pin_key(REQUEST, "grimm"), b"{")
    with pytest.raises(DataError, match=r"pins/grimm-\w{8}\.json: no listing of a corpus .*; delete it"):
        ask(store, Branch())


def test_a_corpus_travels_as_json_that_people_can_read() -> None:
    corpus = Branch().look()
    text = encode_corpus(corpus)
    assert decode_corpus(text, "x") == corpus
    assert text.count(b"\n") > 10


def test_who_waits_for_a_pin_looks_ever_less_often() -> None:
    store = CountingStore()
    with pytest.raises(ServiceUnavailable, match="has not looked up"):
        ask(store, Branch(), leads=False, patience_s=1.5)
    assert len(store.reads) <= 9
