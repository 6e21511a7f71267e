"""Fixtures of the hub's tests: a stand-in that serves a few small files, and transports with little patience."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from ten.calls.patience import Patience
from ten.hub.address import HubAddress
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from tests.standins.hub import Hub
from tests.standins.hub_repos import Access

settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")

BYTES = bytes((index * 31 + index // 251) & 0xFF for index in range(200_000))
"""Content of the file that most tests read; no two stretches of it are the same."""
PATIENCE = Patience(connect_s=2.0, silence_s=1.0, total_s=15.0)
"""For faults that pass."""
HASTE = Patience(connect_s=0.5, silence_s=0.5, total_s=2.0)
"""For faults that do not."""

Opener = Callable[..., Transport]


def file(path: str = "data/part.parquet", repo: str = "tales/grimm", revision: str = "main") -> HubAddress:
    """A file of the stand-in's public data set: at the file host, or with `notes.txt` at the hub itself."""
    return HubAddress(kind="datasets", repo=repo, revision=revision, path=path)


@pytest.fixture(scope="module")
def _standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    for name, access in (
        ("grimm", Access(aliases=("oldtales",))),
        ("private", Access(private=True, tokens=("hf_good",))),
        ("gated", Access(gated="manual", tokens=("hf_good",))),
    ):
        folder = root / "datasets" / "tales" / name
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "part.parquet").write_bytes(BYTES)
        (folder / "notes.txt").write_bytes(BYTES[:50_000])
        (folder / "README.md").write_text("# Tales\n", encoding="utf-8")
        access.write(folder)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def hub(_standin: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The stand-in with nothing wrong, reached directly."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    _standin.clear()
    return _standin


@pytest.fixture
def opened(hub: Hub) -> Iterator[Opener]:
    """Makes transports to the stand-in and closes them."""
    made: list[Transport] = []

    def make(patience: Patience = PATIENCE, token: str | None = None, url: str = "") -> Transport:
        endpoint = Endpoint(url=url or hub.endpoint, token=token, token_source="HF_TOKEN" if token else "")
        made.append(Transport(endpoint, patience))
        return made[-1]

    yield make
    for transport in made:
        transport.close()
