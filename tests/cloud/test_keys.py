"""Which SSH key a droplet gets."""

from pathlib import Path

import pytest

from ten.cloud.keys import choose_keys
from ten.errors import CredentialsError

KEYS = [
    {"id": 1, "name": "work", "fingerprint": "aa:bb", "public_key": "ssh-ed25519 AAAA1 me@work"},
    {"id": 2, "name": "home", "fingerprint": "cc:dd", "public_key": "ssh-rsa BBBB2"},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one key's public half, and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("TEN_SSH_KEY", raising=False)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa.pub").write_text("ssh-rsa BBBB2 another comment\n")
    return tmp_path


def test_the_keys_that_this_machine_has_the_other_half_of(home: Path) -> None:
    assert choose_keys(KEYS) == [2]


@pytest.mark.parametrize("named", ["work", "1", "aa:bb"])
def test_a_key_may_be_named_in_three_ways(home: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEN_SSH_KEY", named)
    assert choose_keys(KEYS) == [1]


def test_a_key_that_is_not_there_is_an_error_with_those_that_are(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEN_SSH_KEY", "hoem")
    with pytest.raises(CredentialsError, match="'work', 'home'"):
        choose_keys(KEYS)
    monkeypatch.delenv("TEN_SSH_KEY")
    with pytest.raises(CredentialsError, match="the account has no SSH key"):
        choose_keys([])
