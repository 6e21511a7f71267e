"""Failure: what went wrong with a connection, as "later" or as the user's error."""

from urllib.parse import urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from ten.calls.retry import Transient
from ten.errors import ServiceUnavailable
from ten.units import format_seconds


def failure(error: Exception, url: str, silence_s: float) -> Transient:
    """What went wrong with a connection, in words without an address's query or a proxy's password.

    Raises ServiceUnavailable when it is nothing that passes: a certificate that is not trusted.
    """
    host = urlsplit(url).netloc
    if isinstance(error, SSLError) and any(word in str(error).lower() for word in ("certificate", "doesn't match")):
        raise ServiceUnavailable(
            f"{host}: its certificate is not trusted here: {_last_words(error)}; behind a proxy that opens TLS, "
            "name its certificates with REQUESTS_CA_BUNDLE=FILE, and check this machine's clock"
        ) from None
    if isinstance(error, ProxyError):
        return Transient(f"{host}: the proxy of HTTP_PROXY/HTTPS_PROXY failed: {_last_words(error)}")
    if isinstance(error, NameResolutionError):
        return Transient(f"{host}: the name cannot be looked up")
    if isinstance(error, NewConnectionError):  # before its base class, a timeout
        return Transient(f"{host}: no connection: {_last_words(error)}")
    if isinstance(error, ConnectTimeoutError):
        return Transient(f"{host}: no connection in time")
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return Transient(f"{host}: silent for {format_seconds(silence_s)}")
    if isinstance(error, LocationParseError):
        return Transient(f"{host}: named an address that is none")
    return Transient(f"{host}: the connection broke: {_last_words(error)}")


def _last_words(error: BaseException) -> str:
    """The words of the innermost error: the system's, without addresses."""
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        nested = next((item for item in reversed(error.args) if isinstance(item, BaseException)), None)
        inner = error.__cause__ or nested
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip().splitlines()
    return text[0][:200] if text and "://" not in text[0] else type(error).__name__
