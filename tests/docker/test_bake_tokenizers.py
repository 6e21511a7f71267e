"""docker/bake_tokenizers.py against the stand-in of the hub, and `ten` with what it baked and no network."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ten.calls.patience import Patience
from ten.errors import ServiceUnavailable
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.text.hub_tokenizer import hub_tokenizer
from tests.data.small import small_tokenizer
from tests.standins.hub import Hub

CONTENT = small_tokenizer().definition.encode()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in with one model."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    repo = tmp_path / "hub" / "models" / "tales" / "small"
    repo.mkdir(parents=True)
    (repo / "tokenizer.json").write_bytes(CONTENT)
    with Hub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


def _commit(hub: Hub, folder: Path) -> str:
    transport = Transport(Endpoint(url=hub.endpoint), Patience())
    hub_tokenizer("tales/small", folder, transport)
    transport.close()
    return (folder / "tokenizers" / "tales--small.pin").read_text().strip()


def test_a_baked_tokenizer_needs_no_network(hub: Hub, tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    commit, baked = _commit(hub, tmp_path / "other"), tmp_path / "baked"
    assert script("bake_tokenizers").main(baked, f"tales/small@{commit}:{DIGEST}") == 0
    offline = Transport(Endpoint(url=hub.endpoint, offline=True), Patience())
    variables = {"TEN_TOKENIZERS": str(baked), "HF_HOME": str(tmp_path / "none")}
    for name in ("tales/small", f"tales/small@{commit}"):
        cache = tmp_path / name.replace("/", "-")
        assert hub_tokenizer(name, cache, offline, variables) == json.loads(CONTENT)
    with pytest.raises(ServiceUnavailable):
        hub_tokenizer(f"tales/small@{'0' * 40}", tmp_path / "c", offline, variables)


def test_other_bytes_are_refused(
    hub: Hub, tmp_path: Path, script: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    commit = _commit(hub, tmp_path / "other")
    assert script("bake_tokenizers").main(tmp_path / "baked", f"tales/small@{commit}:{'0' * 64}") == 65
    assert DIGEST in capsys.readouterr().err
    assert list((tmp_path / "baked").iterdir()) == []


@pytest.mark.parametrize("words", ["tales/small", "tales/small@main", f"tales/small@{'0' * 40}", "x"])
def test_nothing_is_baked_without_a_commit_and_a_hash(
    tmp_path: Path, script: Callable[[str], ModuleType], words: str
) -> None:
    assert script("bake_tokenizers").main(tmp_path / "baked", words) == 78


def test_nothing_wanted_is_nothing_baked(tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    assert script("bake_tokenizers").main(tmp_path / "baked", "") == 0
    assert list((tmp_path / "baked").iterdir()) == []
