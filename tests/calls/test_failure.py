"""Claims about what a broken connection is called."""

import socket

import pytest
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError

from ten.calls.failure import failure
from ten.calls.retry import Transient
from ten.errors import ServiceUnavailable

URL = "https://host.example:8443/path?signature=secret"
POOL = urllib3.HTTPSConnectionPool("host.example")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReadTimeoutError(POOL, "/path", "timed out"), "silent for 7.0s"),
        (ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer")), "reset by peer"),
        (ConnectionRefusedError(111, "Connection refused"), "the connection broke: connection refused"),
        (TimeoutError(), "silent for 7.0s"),
        (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
    ],
)
def test_what_passes_is_said_in_the_systems_words_without_the_address(error: Exception, words: str) -> None:
    found = failure(error, URL, 7.0)
    assert isinstance(found, Transient)
    assert found.reason.startswith("host.example:8443: ")
    assert words in found.reason
    assert "secret" not in found.reason


@pytest.mark.parametrize("words", ["certificate verify failed", "hostname 'a' doesn't match 'b'"])
def test_a_certificate_that_is_not_trusted_is_the_users_to_solve(words: str) -> None:
    with pytest.raises(ServiceUnavailable, match="REQUESTS_CA_BUNDLE"):
        failure(SSLError(words), URL, 7.0)
