"""Repositories as the stand-in tells them: one request for the commit, one for a folder of files."""

import hashlib
import logging
from collections.abc import Iterator

import pytest

from ten.calls.patience import Patience
from ten.errors import CredentialsError, DataError, MissingInput, ServiceUnavailable
from ten.hub.endpoint import Endpoint
from ten.hub.repository import EXPORT, list_files, resolve
from ten.hub.transport import Transport
from tests.standins.hub import Hub
from tests.standins.hub_corpora import fineweb_edu, gated, jsonl_gz, parquet_repository, private, repository, script
from tests.standins.hub_faults import Fault

FINEWEB = "HuggingFaceFW/fineweb-edu"
SCRIPT = "Skylion007/openwebtext"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Repositories of every kind."""
    root = tmp_path_factory.mktemp("hub")
    fineweb_edu(root)
    script(root)
    jsonl_gz(root)
    gated(root)
    private(root)
    (repository(root, "standin/alone", {}) / "alone.py").write_text("pass")
    (repository(root, "standin/words", {}) / "words.txt").write_text("words")
    (root / "datasets/standin/alone/list.txt").write_text("a list of files elsewhere, which is no data")
    both = parquet_repository(root, "standin/both", {"data/train-00000-of-00001.parquet": 3}, {})
    (both / "both.py").write_text("pass")
    with Hub(root) as running:
        yield running


@pytest.fixture
def hub(repositories: Hub) -> Hub:
    """The same with an empty log."""
    repositories.clear()
    return repositories


@pytest.fixture
def transport(hub: Hub) -> Iterator[Transport]:
    """A way there."""
    opened = Transport(Endpoint(url=hub.endpoint), Patience(connect_s=2, silence_s=2, total_s=5))
    yield opened
    opened.close()


def test_a_branch_is_a_commit_with_files_and_configs_in_one_request(hub: Hub, transport: Transport) -> None:
    snapshot = resolve(transport, FINEWEB)
    assert len(snapshot.commit) == 40
    assert "sample/10BT/000_00000.parquet" in snapshot.names
    assert snapshot.configs is not None
    assert [entry["config_name"] for entry in snapshot.configs] == ["default", "sample-10BT", "CC-MAIN-2024-10"]
    assert len(hub.log()) == 1


def test_sizes_and_contents_take_one_request_for_their_folder(hub: Hub, transport: Transport) -> None:
    snapshot = resolve(transport, FINEWEB)
    names = [f"sample/10BT/{number:03d}_00000.parquet" for number in range(2)]
    files = list_files(transport, snapshot, names)
    assert [entry.path.partition("/tree/")[2] for entry in hub.log()[1:]] == [
        f"{snapshot.commit}/sample%2F10BT?recursive=true"
    ]
    for file, name in zip(files, names, strict=True):
        content = (hub.root / "datasets" / FINEWEB / name).read_bytes()
        assert (file.name, file.bytes) == (name, len(content))
        assert file.content == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_small_file_is_known_by_its_blob(hub: Hub, transport: Transport) -> None:
    (file,) = list_files(transport, resolve(transport, "standin/words"), ["words.txt"])
    blob = hashlib.sha1(b"blob 5\0words").hexdigest()
    assert (file.bytes, file.content) == (5, f"git:{blob}")


def test_a_listing_of_many_pages_is_read_to_its_end(hub: Hub, transport: Transport) -> None:
    hub.set(page=1)
    try:
        assert (
            len(list_files(transport, resolve(transport, "standin/jsonl"), ["part-0.jsonl.gz", "part-1.jsonl.gz"])) == 2
        )
        assert len(hub.log()) > 2
    finally:
        hub.set(page=1000)


def test_a_commit_holds_while_the_branch_moves(hub: Hub, transport: Transport) -> None:
    before = resolve(transport, "standin/words")
    moved = hub.commit("standin/words", {"words.txt": b"other words", "more.txt": b"more"})
    assert resolve(transport, "standin/words").commit == moved
    again = resolve(transport, "standin/words", before.commit)
    assert again == before
    assert list_files(transport, again, ["words.txt"])[0].bytes == 5
    with pytest.raises(DataError, match=r"names more\.txt and does not list it"):
        list_files(transport, again, ["more.txt"])


def test_a_hub_that_leaves_out_the_card_is_asked_for_it(
    hub: Hub, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = transport.get_json

    def without_card(path: str, awaited: str) -> tuple[object, object]:
        answer, headers = ask(path, awaited)
        return {key: value for key, value in answer.items() if key != "cardData"}, headers

    with_card = resolve(transport, FINEWEB)
    monkeypatch.setattr(transport, "get_json", without_card)
    assert resolve(transport, FINEWEB) == with_card
    assert [entry.path.rpartition("/")[2] for entry in hub.log()][-1] == "README.md"
    assert resolve(transport, "standin/jsonl").configs is None


def test_a_script_is_replaced_by_the_hubs_export_and_that_is_said(
    hub: Hub, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        snapshot = resolve(transport, SCRIPT)
    assert snapshot.names == ("plain_text/train/0000.parquet", "plain_text/train/0001.parquet")
    assert snapshot == resolve(transport, SCRIPT, EXPORT)
    assert "made by a script (openwebtext.py); the hub's Parquet export is read instead" in caplog.text


def test_a_script_without_export_is_missing_input_with_a_cure(hub: Hub, transport: Transport) -> None:
    with pytest.raises(MissingInput, match=r"standin/alone: .*\(alone\.py\).* no Parquet export .* copy of it in Parq"):
        resolve(transport, "standin/alone")
    with pytest.raises(MissingInput, match="export with --revision refs/convert/parquet"):
        resolve(transport, SCRIPT, "main")


def test_a_script_beside_parquet_is_not_needed(hub: Hub, transport: Transport) -> None:
    assert "both.py" in resolve(transport, "standin/both").names


@pytest.mark.parametrize(
    ("repo", "revision", "said"),
    [("standin/nothing", None, "standin/nothing"), ("standin/private", None, "private"), (FINEWEB, "v9", "v9")],
)
def test_what_is_not_there_is_missing_input(
    repo: str, revision: str | None, said: str, hub: Hub, transport: Transport
) -> None:
    with pytest.raises(MissingInput, match=said):
        resolve(transport, repo, revision)


def test_a_token_that_is_none_is_told(hub: Hub) -> None:
    stranger = Transport(Endpoint(url=hub.endpoint, token="hf_stranger", token_source="HF_TOKEN"), Patience(total_s=5))
    try:
        with pytest.raises((CredentialsError, MissingInput), match=r"standin/private|HF_TOKEN") as refused:
            resolve(stranger, "standin/private")
        assert "hf_stranger" not in str(refused.value)
    finally:
        stranger.close()


def test_an_answer_in_another_language_is_no_hub(
    hub: Hub, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "get_json", lambda path, awaited: ({"message": "welcome"}, {}))
    with pytest.raises(ServiceUnavailable, match=r"does not speak its language .*HF_ENDPOINT"):
        resolve(transport, FINEWEB)


def test_faults_that_pass_cost_nothing(hub: Hub, transport: Transport) -> None:
    hub.add(Fault("status", port="hub", status=503), Fault("reset", port="hub"))
    snapshot = resolve(transport, FINEWEB)
    assert len(list_files(transport, snapshot, ["sample/10BT/000_00000.parquet"])) == 1
