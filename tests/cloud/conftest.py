"""An account at DigitalOcean's stand-in, and a job that may be rented for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.calls.patience import Patience
from ten.cloud.access import read_access
from ten.cloud.api import Api
from ten.job import JobSpec, LimitSettings
from tests.standins.digitalocean import DigitalOcean
from tests.standins.digitalocean_catalog import PUBLIC_KEY
from tests.standins.s3 import S3Stand

SECRETS = ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DigitalOcean]:
    """An account whose droplets have computers; this process is at home in a folder of the test's."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519.pub").write_text(PUBLIC_KEY)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("TEN_SSH_KEY", raising=False)
    with DigitalOcean(tmp_path / "droplets") as account:
        for name, value in account.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{account.folder}/bin:{os.environ['PATH']}")
        yield account


@pytest.fixture
def api(account: DigitalOcean) -> Iterator[Api]:
    """The real client, which bears a fault for three seconds."""
    with Api(read_access(), Patience.of(3.0)) as api:
        yield api


@pytest.fixture
def spec(stand: S3Stand, monkeypatch: pytest.MonkeyPatch) -> JobSpec:
    """A job over a store that is there."""
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    return JobSpec(
        name="r",
        run="r",
        mode="pretok",
        store=stand.new_bucket() + "/here",
        image="registry.example.com/me/ten",
        secrets=SECRETS,
        limits=LimitSettings(max_duration="1h"),
    )
