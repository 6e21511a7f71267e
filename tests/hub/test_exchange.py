"""Claims about requests: where the token goes, where redirects lead, what a refusal says."""

import pytest

from ten.errors import CredentialsError, MissingInput, ServiceUnavailable
from tests.hub.conftest import BYTES, HASTE, Opener, file
from tests.standins.hub import Hub
from tests.standins.hub_faults import Fault

TREE = "/api/datasets/tales/grimm/tree/main?recursive=true"


def test_the_token_stays_with_the_hub(hub: Hub, opened: Opener) -> None:
    transport = opened(token="hf_good")
    for path in ("data/part.parquet", "notes.txt", "README.md"):
        transport.read(file(path, "tales/private"), 0, 5)
        transport.content(file(path, "tales/gated"))
    transport.get_json("/api/datasets/tales/private", "it")
    assert hub.log("cdn")
    assert all(entry.had_authorization for entry in hub.log("hub"))
    assert not any(entry.had_authorization for entry in hub.log("cdn"))


@pytest.mark.parametrize("path", ["data/part.parquet", "notes.txt"])
def test_a_redirect_elsewhere_leaves_the_token_behind(path: str, hub: Hub, opened: Opener) -> None:
    elsewhere = hub.endpoint.replace("127.0.0.1", "localhost")
    hub.add(Fault("redirect", port="hub", to=elsewhere))
    assert opened(token="hf_good").read(file(path), 0, 5) == BYTES[:5]
    assert [entry.had_authorization for entry in hub.log("hub")] == [True, False]


def test_a_file_host_may_send_on_to_another(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("redirect", port="cdn", to=hub.cdn.replace("127.0.0.1", "localhost"), count=1))
    transport = opened(token="hf_good")
    assert transport.read(file(), 10, 180_000) == BYTES[10:180_000]
    assert [entry.status for entry in hub.log("cdn")] == [302, 206]


def test_a_circle_of_redirects_ends(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("redirect", port="hub", to=hub.endpoint, count=-1))
    with pytest.raises(ServiceUnavailable, match="sent on more than 5 times"):
        opened(HASTE).read(file(), 0, 5)


def test_a_renamed_repository_is_followed_with_the_token(hub: Hub, opened: Opener) -> None:
    transport = opened(token="hf_good")
    assert transport.read(file(repo="oldtales"), 0, 5) == BYTES[:5]
    assert transport.get_json("/api/datasets/oldtales", "it")[0]["id"] == "tales/grimm"
    assert all(entry.had_authorization for entry in hub.log("hub"))


REFUSALS: dict[str, tuple[str, str, str | None, type[Exception], str]] = {
    "missing": ("tales/andersen", "a.txt", None, MissingInput, "no dataset tales/andersen at .* HF_TOKEN"),
    "private": ("tales/private", "notes.txt", None, MissingInput, "or it is private"),
    "private, other token": ("tales/private", "notes.txt", "hf_other", MissingInput, "or it is private"),
    "gated": (
        "tales/gated",
        "notes.txt",
        None,
        CredentialsError,
        "ask for access at .*/datasets/tales/gated, then set",
    ),
    "gated, other token": ("tales/gated", "notes.txt", "hf_other", CredentialsError, "token of that account"),
    "no token": ("tales/grimm", "notes.txt", "sesame", CredentialsError, "not accept .* HF_TOKEN.*/settings/tokens"),
    "no file": ("tales/grimm", "moby.txt", None, MissingInput, "no file 'moby.txt' in dataset tales/grimm"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_which_and_what_to_do(name: str, hub: Hub, opened: Opener) -> None:
    repo, path, token, error, words = REFUSALS[name]
    transport = opened(token=token)
    for call in (lambda: transport.read(file(path, repo), 0, 5), lambda: transport.content(file(path, repo))):
        hub.forget()
        with pytest.raises(error, match=words) as caught:
            call()
        assert len(hub.log()) == 1
        assert token is None or token not in str(caught.value)


def test_a_revision_that_is_gone_is_named(opened: Opener) -> None:
    with pytest.raises(MissingInput, match="no revision 'v9'"):
        opened().read(file(revision="v9"), 0, 5)
    with pytest.raises(MissingInput, match="tales/grimm has no revision 'v9'"):
        opened().get_json("/api/datasets/tales/grimm/revision/v9", "the list")


def test_a_bare_refusal_asks_for_a_token(hub: Hub, opened: Opener) -> None:
    hub.add(Fault("status", status=403, headers={"X-Error-Message": "Storage limit \r reached"}, count=-1))
    with pytest.raises(CredentialsError, match=r"answered 403 \(Storage limit reached\); give HF_TOKEN"):
        opened().get_json(TREE, "the list")
