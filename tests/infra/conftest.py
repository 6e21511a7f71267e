"""An account at DigitalOcean's stand-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.digitalocean import DigitalOcean


@pytest.fixture
def account(tmp_path: Path) -> Iterator[DigitalOcean]:
    """An account whose droplets have computers."""
    with DigitalOcean(tmp_path / "droplets") as account:
        yield account
