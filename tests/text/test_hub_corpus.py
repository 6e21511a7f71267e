"""Hub datasets as corpora: named, listed in two requests, at one commit, with what they hold out themselves."""

import gzip
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.calls.patience import Patience
from ten.data.settings import DataSettings
from ten.errors import DataError, MissingInput, ServiceUnavailable, SpecError
from ten.hub import transport as transport_module
from ten.hub.address import parse_address
from ten.hub.endpoint import Endpoint
from ten.hub.registry import REGISTRY
from ten.hub.transport import Transport
from ten.settings import describe, field_paths
from ten.text.corpus import FORMATS
from ten.text.documents import read_documents
from ten.text.hub_corpus import hub_name, list_hub_corpus, streaming_note
from ten.text.opening import open_corpus
from ten.text.pins import decode_corpus, encode_corpus
from tests.standins import hub_corpora
from tests.standins.hub import Hub


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The registered datasets in their layouts, and some others."""
    root = tmp_path_factory.mktemp("hub")
    hub_corpora.fineweb_edu(root)
    hub_corpora.wikitext(root)
    hub_corpora.tinystories(root)
    hub_corpora.script(root)
    hub_corpora.jsonl_gz(root)
    hub_corpora.csv_files(root)
    shards = {"data/train-00000-of-00002-c9a.parquet": 30, "data/train-00001-of-00002-2f5.parquet": 30}
    pg19 = {**shards, "data/validation-00000-of-00001-1b.parquet": 5, "data/test-00000-of-00001-4d.parquet": 5}
    hub_corpora.parquet_repository(root, "emozilla/pg19", pg19, {"license": "apache-2.0"})
    imdb = [f"plain_text/{split}-00000-of-00001.parquet" for split in ("test", "train", "unsupervised")]
    card = {
        "configs": [
            {
                "config_name": "plain_text",
                "data_files": [
                    {"split": name.split("/")[1].split("-")[0], "path": name.replace("00000-of-00001.parquet", "*")}
                    for name in imdb
                ],
                "default": True,
            }
        ]
    }
    hub_corpora.parquet_repository(root, "stanfordnlp/imdb", dict.fromkeys(imdb, 20), card)
    news = {"data/test-00000-of-00001.parquet": 20, "data/train-00000-of-00001.parquet": 20}
    hub_corpora.parquet_repository(root, "fancyzhx/ag_news", news, {"license": "unknown"})
    (hub_corpora.repository(root, "standin/empty", {}) / "train.txt").write_text("")
    lines = gzip.compress(b'{"text": "one"}\n{"text": "two"}\n')
    (hub_corpora.repository(root, "standin/c4") / "c4.00000.json.gz").write_bytes(lines)
    with Hub(root) as running:
        yield running


@pytest.fixture
def hub(repositories: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The same with an empty log, and as this process's hub."""
    repositories.clear()
    opened = Transport(Endpoint(url=repositories.endpoint), Patience(connect_s=2, silence_s=2, total_s=5))
    monkeypatch.setattr(transport_module, "_shared", (os.getpid(), opened))
    yield repositories
    opened.close()


@pytest.mark.parametrize(
    ("name", "files", "held_out"),
    [
        ("finewebedu", ["sample/10BT/000_00000.parquet", "sample/10BT/001_00000.parquet"], []),
        ("openwebtext", ["plain_text/train/0000.parquet", "plain_text/train/0001.parquet"], []),
        (
            "pg19",
            ["data/train-00000-of-00002-c9a.parquet", "data/train-00001-of-00002-2f5.parquet"],
            ["data/validation-00000-of-00001-1b.parquet"],
        ),
        (
            "wikitext-103",
            ["wikitext-103-raw-v1/train-00000-of-00001.parquet"],
            ["wikitext-103-raw-v1/validation-00000-of-00001.parquet"],
        ),
        ("imdb", ["plain_text/train-00000-of-00001.parquet"], ["plain_text/test-00000-of-00001.parquet"]),
        ("ag_news", ["data/train-00000-of-00001.parquet"], ["data/test-00000-of-00001.parquet"]),
        (
            "tinystories",
            [f"data/train-{number:05d}-of-00002-2d5a1467fff1081b.parquet" for number in range(2)],
            ["data/validation-00000-of-00001-869c898b519ad725.parquet"],
        ),
    ],
)
def test_every_registered_dataset_is_listed_in_two_requests(
    hub: Hub, name: str, files: list[str], held_out: list[str]
) -> None:
    corpus = open_corpus(name)
    assert [file.name for file in corpus.files] == [*files, *held_out]
    assert corpus.held_out_files == len(held_out)
    assert (corpus.dataset, corpus.text_column, corpus.is_pinned) == (name, "text", True)
    assert len(hub.log()) == (3 if name == "openwebtext" else 2)
    assert hub.log("cdn") == []


def test_the_registry_is_tested_whole_and_told_where_a_dataset_is_named() -> None:
    assert len(REGISTRY) == 7
    told = describe(field_paths(DataSettings)["dataset"])
    assert all(known.name in told for known in REGISTRY)
    assert all(suffix.removesuffix(".gz") in told for suffix in FORMATS)


def test_a_file_is_its_address_at_the_commit_with_size_and_content(hub: Hub) -> None:
    corpus = open_corpus("finewebedu")
    file = corpus.files[0]
    address = parse_address(file.path)
    assert (address.kind, address.repo, address.revision) == ("datasets", "HuggingFaceFW/fineweb-edu", corpus.revision)
    assert address.path == file.name
    assert file.bytes == (hub.root / "datasets" / address.repo / file.name).stat().st_size
    assert file.probe.startswith("sha256:") and len(file.probe) == 7 + 64
    assert (corpus.slug, file.format) == ("finewebedu", ".parquet")


def test_however_a_registered_dataset_is_named_it_is_the_same_pack(hub: Hub) -> None:
    one, other = open_corpus("finewebedu"), open_corpus("HuggingFaceFW/fineweb-edu:sample-10BT")
    assert (one.slug, one.fingerprint, one.asked) == (other.slug, other.fingerprint, other.asked)


def test_any_other_repository_is_listed_and_its_column_settled_by_its_first_file(hub: Hub) -> None:
    corpus = open_corpus("Salesforce/wikitext:wikitext-2-raw-v1")
    assert (corpus.slug, corpus.text_column, corpus.held_out_files) == (
        "salesforce-wikitext-wikitext-2-raw-v1",
        "text",
        1,
    )
    assert open_corpus("Salesforce/wikitext:wikitext-2-raw-v1", "url").text_column == "url"
    corpus = open_corpus("standin/jsonl")
    assert [file.name for file in corpus.files] == ["part-0.jsonl.gz", "part-1.jsonl.gz"]
    assert corpus.text_column == "text"


def test_another_column_of_a_registered_dataset_is_looked_for(hub: Hub) -> None:
    assert open_corpus("finewebedu", "url").text_column == "url"
    with pytest.raises(DataError, match="no text column 'body'; columns of text: text"):
        open_corpus("finewebedu", "body")


def test_formats_read_through_a_library_are_listed_too(hub: Hub) -> None:
    wanted = hub_name("standin/csv")
    assert wanted is not None
    assert [file.name for file in list_hub_corpus(wanted).files] == ["train.csv"]


def test_a_split_is_chosen_and_what_it_holds_out_never_is_itself(hub: Hub) -> None:
    corpus = open_corpus("wikitext-103", split="validation")
    assert [file.name for file in corpus.files] == ["wikitext-103-raw-v1/validation-00000-of-00001.parquet"]
    assert corpus.held_out_files == 0
    corpus = open_corpus("imdb", split="unsupervised")
    assert [file.name.split("/")[1].split("-")[0] for file in corpus.files] == ["unsupervised", "test"]
    with pytest.raises(SpecError, match=r"no split 'validate'.*validation"):
        open_corpus("wikitext-103", split="validate")


def test_a_wrong_config_is_refused_with_the_others(hub: Hub) -> None:
    with pytest.raises(SpecError, match="did you mean 'sample-10BT'"):
        open_corpus("HuggingFaceFW/fineweb-edu:sample-9BT")
    with pytest.raises(SpecError, match="choose a config, as in Salesforce/wikitext:wikitext-103-raw-v1"):
        open_corpus("Salesforce/wikitext")


def test_a_revision_holds_after_the_branch_moved_and_a_new_card_is_no_new_pack(hub: Hub) -> None:
    before = open_corpus("tinystories")
    hub.commit("roneneldan/TinyStories", {"README.md": b"---\nlicense: mit\n---\n"})
    after = open_corpus("tinystories")
    assert after.revision != before.revision
    assert after.fingerprint == before.fingerprint
    assert open_corpus("tinystories", revision=before.revision).files == before.files
    with pytest.raises(MissingInput, match="v9"):
        open_corpus("tinystories", revision="v9")


def test_a_missing_repository_may_have_been_meant_as_a_path(hub: Hub) -> None:
    with pytest.raises(MissingInput, match=r"standin/nothing.*; nor is there a file or folder 'standin/nothing' here"):
        open_corpus("standin/nothing")
    unreached = Transport(Endpoint(url=hub.endpoint, offline=True), Patience())
    wanted = hub_name("standin/nothing")
    assert wanted is not None
    with pytest.raises(ServiceUnavailable, match=r"OFFLINE.*; nor is there a file or folder 'standin/nothing' here"):
        list_hub_corpus(wanted, transport=unreached)


def test_an_empty_dataset_is_an_error(hub: Hub) -> None:
    with pytest.raises(DataError, match="standin/empty: empty corpus"):
        open_corpus("standin/empty")


def test_revision_and_split_are_of_hub_datasets_only(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(SpecError, match=r"data\.revision='v1': .* is no hub dataset"):
        open_corpus(str(tmp_path), revision="v1")
    with pytest.raises(SpecError, match=r"data\.split='train'"):
        open_corpus("stdlib", split="train")


@pytest.mark.parametrize(
    "dataset",
    ["stdlib", "nope", "wikitext", "./imdb", "/abs/path", "a/b/c", "a/*.txt", "a/b.jsonl", "a b/c", "../a/b"],
)  # fmt: skip
def test_what_is_no_repository_is_left_to_this_machine(dataset: str) -> None:
    assert hub_name(dataset) is None


def test_a_path_that_is_there_wins_over_a_repository_but_not_over_a_registered_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = hub_name("ns/repo:en")
    assert found is not None and (found.repo, found.config, found.slug) == ("ns/repo", "en", "ns-repo-en")
    (tmp_path / "ns" / "repo").mkdir(parents=True)
    assert hub_name("ns/repo") is None
    (tmp_path / "imdb").mkdir()
    assert hub_name("imdb") is not None and hub_name("./imdb") is None


def test_which_of_two_is_meant_is_said(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imdb").mkdir()
    with caplog.at_level(logging.INFO):
        open_corpus("imdb")
        open_corpus("standin/jsonl")
    assert "imdb is the hub's dataset; write ./imdb for what lies here" in caplog.text
    assert "no file or folder here" not in caplog.text


def test_that_the_hub_is_asked_is_said_when_it_takes_long(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ten.text.hub_corpus._SLOW_S", 0.05)
    hub.set(latency_ms=500)
    with caplog.at_level(logging.INFO):
        open_corpus("standin/jsonl")
    hub.set(latency_ms=0)
    assert "standin/jsonl: no file or folder here; looking for it at the hub" in caplog.text


@pytest.mark.parametrize(
    "typed",
    [
        "https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu",
        "https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu/",
        "https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu/tree/main?x=1#y",
        "https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu/viewer/default/train?row=3",
        "hf://datasets/HuggingFaceFW/fineweb-edu",
        "hf://datasets/HuggingFaceFW/fineweb-edu@main",
        "datasets/HuggingFaceFW/fineweb-edu",
    ],
)
def test_an_address_that_was_copied_is_a_name(typed: str) -> None:
    found = hub_name(typed)
    assert found is not None
    assert (found.dataset, found.repo, found.config) == (
        "HuggingFaceFW/fineweb-edu",
        "HuggingFaceFW/fineweb-edu",
        None,
    )


def test_an_address_of_a_registered_dataset_is_that_dataset() -> None:
    for typed in ("https://hf.co/datasets/imdb/tree/main", "hf://datasets/stanfordnlp/imdb", "datasets/emozilla/pg19"):
        found = hub_name(typed)
        assert found is not None and found.known is not None
    found = hub_name("hf://datasets/HuggingFaceFW/fineweb-edu:sample-10BT")
    assert found is not None and found.slug == "finewebedu"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hf://datasets/a/b@v1", "write a/b --revision v1"),
        ("https://huggingface.co/datasets/a/b/tree/v1?x=secret", "b/tree/v1: write a/b --revision v1"),
        ("hf://datasets/a/b@refs/convert/parquet", "write a/b --revision refs/convert/parquet"),
        ("https://huggingface.co/datasets/a/b/tree/refs%2Fpr%2F3", "--revision refs/pr/3"),
        ("hf://datasets/a/b/data/x.parquet", "a part of a dataset; write a/b, or a/b:CONFIG"),
        ("https://huggingface.co/datasets/a/b/tree/main/data", "a part of a dataset; write a/b, or a/b:CONFIG"),
        ("https://huggingface.co/datasets/a/b/viewer/en/test", "write a/b:en --split test"),
        ("tinystories:foo", "a registered name takes no config; write roneneldan/TinyStories:foo"),
        ("wikitext-103:other", "a registered name takes no config; write Salesforce/wikitext:other"),
    ],
)
def test_an_address_of_less_or_more_says_what_to_write(typed: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        hub_name(typed)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_branch_main_is_what_is_meant_without_a_revision(hub: Hub) -> None:
    assert open_corpus("tinystories", revision="main").asked == open_corpus("tinystories").asked
    assert open_corpus("openwebtext", revision="main").files == open_corpus("openwebtext").files


def test_two_namespaces_do_not_share_a_slug() -> None:
    one, other = hub_name("standin/csv"), hub_name("other/csv")
    assert one is not None and other is not None
    assert (one.slug, other.slug) == ("standin-csv", "other-csv")


def test_the_config_that_was_chosen_is_kept(hub: Hub) -> None:
    assert open_corpus("HuggingFaceFW/fineweb-edu").config == "default"
    assert open_corpus("finewebedu").config == "sample-10BT"
    assert open_corpus("standin/jsonl").config is None


def test_json_files_of_lines_stream(hub: Hub) -> None:
    corpus = open_corpus("standin/c4")
    assert [(file.name, file.format) for file in corpus.files] == [("c4.00000.json.gz", ".jsonl.gz")]
    assert decode_corpus(encode_corpus(corpus), "pin") == corpus
    assert list(read_documents(corpus.files[0], column="text")) == ["one", "two"]


def test_a_large_dataset_says_that_it_streams() -> None:
    large, small = hub_name("pg19"), hub_name("imdb")
    assert large is not None and small is not None
    assert streaming_note(large) == (
        "pg19 streams from emozilla/pg19 while it is read (about 7 GB in all); --full downloads all of it first"
    )
    assert streaming_note(small) is None


def test_what_is_left_out_is_said(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    hub.commit("fancyzhx/ag_news", {"data/train-00000-of-00001.jsonl": b'{"text": "news"}\n'})
    with caplog.at_level(logging.INFO):
        open_corpus("ag_news")
    assert "ag_news: not read, of another format than most: 1 file, such as data/train-00000-of-00001.jsonl" in (
        caplog.text
    )
