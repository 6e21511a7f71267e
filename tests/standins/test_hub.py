"""The stand-in answers as the hub does: commits, listings, access, signed files; and leaves nothing behind."""

import hashlib
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.standins.hub import ROOT, Hub
from tests.standins.hub_corpora import READER, repository
from tests.standins.wire import SHARD, get, listen, signed_path

FINEWEB = "/api/datasets/HuggingFaceFW/fineweb-edu"


def _is_open(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(5)
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_what_the_hub_says_of_a_dataset_holds_its_card_and_its_files(hub: Hub) -> None:
    told = get(hub.endpoint, f"{FINEWEB}?blobs=true").json
    configs = {entry["config_name"]: entry["data_files"] for entry in told["cardData"]["configs"]}
    assert configs["sample-10BT"] == [{"split": "train", "path": "sample/10BT/*"}]
    siblings = {entry["rfilename"]: entry for entry in told["siblings"]}
    path = hub.root / "datasets/HuggingFaceFW/fineweb-edu/sample/10BT/000_00000.parquet"
    assert siblings["sample/10BT/000_00000.parquet"]["lfs"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert siblings["sample/10BT/000_00000.parquet"]["size"] == path.stat().st_size
    assert siblings["README.md"].keys() == {"rfilename", "size", "blobId"}
    assert get(hub.endpoint, FINEWEB).json["siblings"][0].keys() == {"rfilename"}


def test_content_ids_are_those_of_git(hub: Hub) -> None:
    readme = hub.root / "datasets/HuggingFaceFW/fineweb-edu/README.md"
    command = ["git", "hash-object", str(readme)]
    oid = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    tree = {entry["path"]: entry for entry in get(hub.endpoint, f"{FINEWEB}/tree/main?recursive=true").json}
    assert tree["README.md"]["oid"] == oid
    assert tree["sample/10BT"]["type"] == "directory"


def test_a_listing_comes_in_pages(hub: Hub) -> None:
    place = f"{FINEWEB}/tree/main?recursive=true"
    whole = get(hub.endpoint, place).json
    hub.set(page=3)
    paged: list[Any] = []
    pages = 0
    while place:
        answer = get(hub.endpoint, place)
        paged, pages = paged + answer.json, pages + 1
        link = answer.headers.get("Link") or ""
        place = link.partition(">")[0].removeprefix(f"<{hub.endpoint}")
    assert paged == whole
    assert pages == -(-len(whole) // 3)


def test_a_folder_of_a_listing_may_be_one_quoted_segment(hub: Hub) -> None:
    for quoted in ("sample/10BT", "sample%2F10BT"):
        names = [entry["path"] for entry in get(hub.endpoint, f"{FINEWEB}/tree/main/{quoted}").json]
        assert names == ["sample/10BT/000_00000.parquet", "sample/10BT/001_00000.parquet"]
    refused = get(hub.endpoint, f"{FINEWEB}/tree/main/data2")
    assert (refused.status, refused.headers["X-Error-Code"]) == (404, "EntryNotFound")


def test_paths_information_takes_forms_and_json(hub: Hub) -> None:
    form = "application/x-www-form-urlencoded"
    asked = get(hub.endpoint, f"{FINEWEB}/paths-info/main", "POST", "paths=README.md&paths=none", Content_Type=form)
    named = '{"paths": ["README.md", "none"]}'
    again = get(hub.endpoint, f"{FINEWEB}/paths-info/main", "POST", named, Content_Type="application/json")
    assert [entry["path"] for entry in asked.json] == ["README.md"]
    assert asked.json == again.json


def test_the_branch_moves_and_the_old_commit_stays(hub: Hub) -> None:
    folder = repository(hub.root, "moving/target")
    (folder / "a.txt").write_text("old")
    (folder / "b.txt").write_text("kept")
    api, files = "/api/datasets/moving/target", "/datasets/moving/target/resolve"
    old = get(hub.endpoint, api).json["sha"]
    new = hub.commit("moving/target", {"a.txt": b"new", "b.txt": None, "d/c.parquet": b"PAR1"})
    assert get(hub.endpoint, api).json["sha"] == new != old
    assert get(hub.endpoint, f"{files}/main/a.txt").body == b"new"
    assert get(hub.endpoint, f"{files}/{old}/a.txt").body == b"old"
    assert get(hub.endpoint, f"{files}/main/b.txt").status == 404
    assert get(hub.endpoint, f"{files}/{old}/b.txt").body == b"kept"
    assert get(hub.cdn, signed_path(hub, f"{files}/{new[:9]}/d/c.parquet")).body == b"PAR1"
    assert [entry["id"] for entry in get(hub.endpoint, f"{api}/commits/main").json] == [new, old]
    with Hub(hub.root) as another:
        assert get(another.endpoint, api).json["sha"] == new


def test_the_converters_branch_is_a_branch(hub: Hub) -> None:
    refs = get(hub.endpoint, "/api/datasets/Skylion007/openwebtext/refs").json
    assert [ref["ref"] for ref in refs["branches"] + refs["converts"]] == ["refs/heads/main", "refs/convert/parquet"]
    for revision in ("refs/convert/parquet", "refs%2Fconvert%2Fparquet", refs["converts"][0]["targetCommit"]):
        path = f"/datasets/Skylion007/openwebtext/resolve/{revision}/plain_text/train/0000.parquet"
        assert get(hub.cdn, signed_path(hub, path)).body[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        ("/datasets/no/where/resolve/main/a", "", 401, "RepoNotFound"),
        ("/datasets/no/where/resolve/main/a", "hf_other", 404, "RepoNotFound"),
        ("/api/datasets/standin/private", "", 401, "RepoNotFound"),
        ("/api/datasets/standin/private", "hf_other", 404, "RepoNotFound"),
        ("/api/datasets/standin/private", READER, 200, None),
        ("/api/datasets/standin/gated/tree/main", "", 200, None),
        ("/datasets/standin/gated/resolve/main/README.md", "", 401, "GatedRepo"),
        ("/datasets/standin/gated/resolve/main/README.md", "hf_other", 403, "GatedRepo"),
        ("/datasets/standin/gated/resolve/main/README.md", READER, 200, None),
        (f"{FINEWEB}/revision/v9", "", 404, "RevisionNotFound"),
        ("/datasets/HuggingFaceFW/fineweb-edu/resolve/main/no.py", "", 404, "EntryNotFound"),
        (FINEWEB, "not-a-token", 401, None),
        ("/api/whoami-v2", "", 401, None),
        ("/nothing", "", 404, None),
    ],
)
def test_refusals_carry_the_hubs_codes(hub: Hub, path: str, token: str, status: int, code: str | None) -> None:
    answer = get(hub.endpoint, path, **({"Authorization": f"Bearer {token}"} if token else {}))
    assert (answer.status, answer.headers.get("X-Error-Code")) == (status, code)


def test_another_name_leads_to_the_repository(hub: Hub) -> None:
    answer = get(hub.endpoint, "/gpt2/resolve/main/tokenizer.json")
    assert (answer.status, answer.headers["Location"]) == (307, "/openai-community/gpt2/resolve/main/tokenizer.json")
    answer = get(hub.endpoint, "/api/models/gpt2?blobs=true")
    assert (answer.status, answer.headers["Location"]) == (307, "/api/models/openai-community/gpt2?blobs=true")


def test_a_big_file_lies_at_another_origin_under_a_url_that_expires(hub: Hub) -> None:
    answer = get(hub.endpoint, SHARD, "HEAD")
    assert answer.status == 302
    assert answer.headers["X-Linked-ETag"] == answer.headers["ETag"]
    assert "X-Xet-Hash" not in answer.headers
    path = signed_path(hub)
    first = get(hub.cdn, path, Range="bytes=0-3")
    assert (first.status, first.body) == (206, b"PAR1")
    assert first.headers["Content-Range"] == f"bytes 0-3/{answer.headers['X-Linked-Size']}"
    assert get(hub.cdn, path, Range="bytes=-4").body == b"PAR1"
    assert get(hub.cdn, path, Range="bytes=99999999-").status == 416
    hub.expire_urls()
    assert get(hub.cdn, path).status == 403
    assert get(hub.cdn, path.partition("?")[0]).status == 403
    assert get(hub.cdn, signed_path(hub)).status == 200
    hub.set(url_life_s=0)
    assert get(hub.cdn, signed_path(hub)).status == 403


def test_latency_and_throttle_hold_for_every_request(hub: Hub) -> None:
    path = signed_path(hub)
    hub.set(latency_ms=50, throttle=100_000)
    heard = listen(hub, path, start=0, stop=20_000)
    assert len(heard.body) == 20_000
    assert heard.seconds >= 0.05 + 0.2 * 0.9


def test_the_log_says_what_was_asked_and_sent(hub: Hub) -> None:
    began = time.monotonic()
    path = signed_path(hub)
    get(hub.cdn, path, Range="bytes=10-29", Authorization="Bearer hf_leak")
    asked, sent = hub.log()
    assert (asked.method, asked.path, asked.port, asked.status) == ("GET", SHARD, "hub", 302)
    assert (sent.path, sent.port, sent.range, sent.status, sent.sent) == (path, "cdn", "bytes=10-29", 206, 20)
    assert (asked.had_authorization, sent.had_authorization) == (False, True)
    assert began < asked.started < sent.started < (sent.ended or 0) < time.monotonic()
    hub.forget()
    assert hub.log() == []


def test_nothing_is_left_when_it_ends(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        assert _is_open(hub.port)
        assert _is_open(hub.cdn_port)
    assert not _is_open(hub.port)
    assert not _is_open(hub.cdn_port)


def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from tests.standins.hub import Hub\n"
    code += "hub = Hub(Path(sys.argv[1])); print(hub.port, flush=True); os._exit(0)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    port = int(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
    deadline = time.monotonic() + 10
    while _is_open(port):
        assert time.monotonic() < deadline
        time.sleep(0.02)
