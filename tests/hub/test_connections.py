"""Claims about the way out of this machine: proxies and certificates."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from ten.calls.hangup import Hangup
from ten.errors import ServiceUnavailable, SpecError
from tests.hub.conftest import BYTES, HASTE, Opener, file
from tests.standins.hub import Hub


class _Proxy(BaseHTTPRequestHandler):
    """Passes plain requests on and notes them."""

    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Proxy-Authorization", "")))
        parts = urlsplit(self.path)
        onward = HTTPConnection(parts.netloc)
        headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
        onward.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = onward.getresponse()
        body = answer.read()
        onward.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """A proxy's port and what it was asked for."""
    seen: list[tuple[str, str]] = []
    handler = type("Proxy", (_Proxy,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], seen
        server.shutdown()
        thread.join()


def test_a_proxy_of_the_environment_is_used(
    proxy: tuple[int, list[tuple[str, str]]], hub: Hub, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, seen = proxy
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{port}")
    assert opened().read(file(), 0, 50) == BYTES[:50]
    assert [urlsplit(path).netloc for path, _ in seen] == [urlsplit(url).netloc for url in (hub.endpoint, hub.cdn)]
    assert all(login == "Basic bWU6c2VjcmV0" for _, login in seen)


def test_what_no_proxy_names_is_reached_directly(
    proxy: tuple[int, list[tuple[str, str]]], opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, seen = proxy
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "example.com,127.0.0.1")
    assert opened().read(file(), 0, 50) == BYTES[:50]
    assert not seen


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(
        ServiceUnavailable, match="proxy of HTTP_PROXY/HTTPS_PROXY failed: connection refused"
    ) as caught:
        opened(HASTE).read(file(), 0, 50)
    assert "secret" not in str(caught.value)


def test_a_proxy_of_another_kind_is_refused(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(SpecError, match="socks5://"):
        opened(HASTE).read(file(), 0, 50)


def test_certificates_that_are_not_there_are_named(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(SpecError, match="REQUESTS_CA_BUNDLE=/nowhere"):
        opened(HASTE).read(file(), 0, 50)


def test_a_failure_is_told_in_its_own_words(opened: Opener) -> None:
    with pytest.raises(
        ServiceUnavailable, match=r"127\.0\.0\.1:9: no connection: connection refused; gave up"
    ) as caught:
        try:
            raise ValueError("another trouble")
        except ValueError:
            opened(HASTE, url="http://127.0.0.1:9").read(file(), 0, 50)
    assert "another trouble" not in str(caught.value)


def test_requests_say_who_asks(hub: Hub, opened: Opener) -> None:
    opened().read(file(), 0, 50)
    assert all(entry.agent.startswith("ten/") for entry in hub.log())


def test_connections_are_used_again(hub: Hub, opened: Opener) -> None:
    transport = opened()
    for start in range(5):
        transport.read(file(), start, start + 9)
        transport.read(file("notes.txt"), start, start + 9, hangup=Hangup())
    assert len({entry.connection for entry in hub.log("cdn")}) == 1
    assert len({entry.connection for entry in hub.log("hub")}) == 1
