"""Which variables go along to a droplet."""

import os

import pytest

from ten.cloud.carried import as_file, carried, check_carried
from ten.errors import CredentialsError

ODD = "pa$$ 'w\"ord' #1 =+/\\ ü"


def test_a_value_arrives_whole_whatever_is_in_it() -> None:
    values = carried(["A_KEY"], {"A_KEY": ODD, "OTHER": "not asked for", "SPACES_REGION": "tor1"})
    assert values == {"A_KEY": ODD, "SPACES_REGION": "tor1"}
    assert as_file(values) == f"A_KEY={ODD}\nSPACES_REGION=tor1\n"


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(CredentialsError, match="A_KEY, B_KEY"):
        carried(["A_KEY", "B_KEY"], {"B_KEY": ""})


def test_a_value_of_two_lines_is_refused_and_not_shown() -> None:
    with pytest.raises(CredentialsError, match="A_KEY") as refused:
        carried(["A_KEY"], {"A_KEY": "canary\nB=1"})
    assert "canary" not in str(refused.value)


def test_the_accounts_own_token_never_goes_along() -> None:
    with pytest.raises(CredentialsError, match="DIGITALOCEAN_TOKEN: stays here"):
        carried(["DIGITALOCEAN_TOKEN"], {"DIGITALOCEAN_TOKEN": "canary"})


def test_a_bucket_that_would_be_looked_for_elsewhere_is_found_here(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"SPACES_ACCESS_KEY_ID": "id", "SPACES_SECRET_ACCESS_KEY": "canary"}
    own = {"SPACES_REGION": "nyc3", "SPACES_REGION__BUCKET": "tor1"}
    for name in [name for name in os.environ if name.startswith(("SPACES_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in (keys | own).items():
        monkeypatch.setenv(name, value)
    check_carried("s3://bucket/ten", carried([*keys, "SPACES_REGION__BUCKET"]))
    with pytest.raises(CredentialsError, match="another endpoint than here") as refused:
        check_carried("s3://bucket/ten", carried([*keys]))
    assert "canary" not in str(refused.value)


def test_a_job_that_takes_no_keys_of_its_store_along_is_refused() -> None:
    with pytest.raises(CredentialsError, match="secrets: names no keys for s3://bucket/ten"):
        check_carried("s3://bucket/ten", {"SPACES_REGION": "tor1"})
