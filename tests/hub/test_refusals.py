"""Claims about what statuses and error codes mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.calls.retry import Transient
from ten.errors import TenError
from ten.hub.endpoint import Endpoint
from ten.hub.refusals import Subject, about_api, check_file_host, check_hub, check_kind

HUB = Endpoint(url="https://hub.example", token="hf_secret", token_source="HF_TOKEN")
CODES = ["", "RepoNotFound", "GatedRepo", "RevisionNotFound", "EntryNotFound", "DisabledRepo", "Whatever"]


@pytest.mark.parametrize(
    ("path", "kind", "repo", "revision", "below"),
    [
        ("/api/datasets/ns/name", "datasets", "ns/name", "", ""),
        ("/api/models/gpt2", "models", "gpt2", "", ""),
        ("/api/datasets/imdb/tree/main?recursive=true", "datasets", "imdb", "main", ""),
        ("/api/datasets/n/s/tree/refs%2Fconvert%2Fparquet/a%2Fb", "datasets", "n/s", "refs/convert/parquet", "a/b"),
        ("/api/whoami-v2", "", "", "", ""),
    ],
)  # fmt: skip
def test_a_path_of_the_api_says_what_it_is_about(path: str, kind: str, repo: str, revision: str, below: str) -> None:
    expected = Subject(name="the list", kind=kind, repo=repo, revision=revision, path=below)
    assert about_api(path, "the list") == expected


@given(st.integers(201, 499), st.sampled_from(CODES), st.text(max_size=500))
def test_every_refusal_is_later_or_an_error_of_one_line_without_the_token(status: int, code: str, words: str) -> None:
    if status in (206, 416):
        return
    subject = Subject(name="the list", kind="datasets", repo="ns/name", revision="main", path="a.txt")
    with pytest.raises((TenError, Transient)) as caught:
        check_hub(status, {"X-Error-Code": code, "X-Error-Message": words}, subject, HUB)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert "hf_secret" not in message
    assert isinstance(caught.value, Transient) == (status in (408, 425, 429))


def test_a_token_that_does_not_open_a_private_repository_is_named_and_not_told() -> None:
    subject = Subject(name="the commit", kind="datasets", repo="ns/name")
    for endpoint, sent in ((HUB, True), (Endpoint(url=HUB.url), False)):
        with pytest.raises(TenError) as caught:
            check_hub(401, {"X-Error-Code": "RepoNotFound"}, subject, endpoint)
        assert ("the token of HF_TOKEN, which was sent, does not open it" in str(caught.value)) == sent
        assert "hf_secret" not in str(caught.value)


def test_an_address_in_the_hosts_words_is_not_repeated() -> None:
    words = {"X-Error-Message": "see https://files.example/x?Signature=abc"}
    with pytest.raises(TenError) as caught:
        check_hub(403, words, Subject(name="the list"), HUB)
    assert "Signature" not in str(caught.value)


def test_a_file_host_says_yes_or_later_or_no() -> None:
    assert [check_file_host(status, {}, "files") for status in (200, 206, 416)] == [True] * 3
    assert [check_file_host(status, {}, "files") for status in (400, 401, 403, 404, 410)] == [False] * 5
    with pytest.raises(Transient) as caught:
        check_file_host(503, {"Retry-After": "7"}, "files")
    assert caught.value.wait_s == 7


def test_a_web_page_is_a_file_only_where_one_was_asked_for() -> None:
    page = {"Content-Type": "text/html; charset=utf-8"}
    check_kind(page, "index.html", "hub")
    check_kind({"Content-Type": "text/plain"}, "a.txt", "hub")
    with pytest.raises(Transient, match="web page"):
        check_kind(page, "a.txt", "hub")
