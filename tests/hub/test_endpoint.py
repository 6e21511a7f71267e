"""Claims about which hub the environment names."""

from pathlib import Path

import pytest

from ten.errors import CredentialsError, SpecError
from ten.hub.endpoint import PUBLIC_HUB, read_endpoint


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment that says nothing, with a home of its own."""
    return {"HF_HOME": str(tmp_path)}


def test_nothing_said_is_the_public_hub_without_a_token(bare: dict[str, str]) -> None:
    endpoint = read_endpoint(bare)
    assert (endpoint.url, endpoint.offline, endpoint.token) == (PUBLIC_HUB, False, None)


def test_an_endpoint_may_be_plain_http_and_have_a_path(bare: dict[str, str]) -> None:
    assert read_endpoint({**bare, "HF_ENDPOINT": "http://127.0.0.1:8080/"}).url == "http://127.0.0.1:8080"
    assert read_endpoint({**bare, "HF_ENDPOINT": "https://mirror.example/hf/"}).url == "https://mirror.example/hf"


@pytest.mark.parametrize("url", ["hub", "ftp://hub", "https://", "https://hub/?a=b", "https:// hub", "https://h:port"])
def test_what_is_no_address_is_refused(url: str, bare: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="HF_ENDPOINT"):
        read_endpoint({**bare, "HF_ENDPOINT": url})


def test_a_password_in_the_address_is_refused_and_not_shown(bare: dict[str, str]) -> None:
    with pytest.raises(SpecError) as caught:
        read_endpoint({**bare, "HF_ENDPOINT": "https://me:geheim@hub"})
    assert "geheim" not in str(caught.value)


def test_the_variable_comes_before_the_file(bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_file\n", encoding="utf-8")
    endpoint = read_endpoint(bare)
    assert (endpoint.token, endpoint.token_source) == ("hf_file", str(tmp_path / "token"))
    assert read_endpoint({**bare, "HF_TOKEN": " hf_variable "}).token == "hf_variable"
    (tmp_path / "other").write_text("hf_other", encoding="utf-8")
    assert read_endpoint({**bare, "HF_TOKEN_PATH": str(tmp_path / "other")}).token == "hf_other"
    assert read_endpoint({"XDG_CACHE_HOME": str(tmp_path / "none")}).token is None


def test_a_token_is_never_shown(bare: dict[str, str]) -> None:
    endpoint = read_endpoint({**bare, "HF_TOKEN": "hf_secret"})
    assert "hf_secret" not in repr(endpoint) + str(endpoint) + f"{endpoint!s:.500}"
    assert "HF_TOKEN" in repr(endpoint)


def test_a_token_that_cannot_be_one_is_refused_and_not_shown(bare: dict[str, str]) -> None:
    for token in ("hf_a\nX-Evil: 1", "hf_ä", "hf a"):
        with pytest.raises(CredentialsError, match="HF_TOKEN") as caught:
            read_endpoint({**bare, "HF_TOKEN": token})
        assert token not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=str(tmp_path)):
        read_endpoint({"HF_TOKEN_PATH": str(tmp_path)})


@pytest.mark.parametrize(("text", "offline"), [("1", True), ("true", True), ("ON", True), ("0", False), ("", False)])
def test_offline_is_what_hub_clients_take_for_it(text: str, offline: bool, bare: dict[str, str]) -> None:
    assert read_endpoint({**bare, "HF_HUB_OFFLINE": text}).offline is offline
