"""Connections: kept open per host and shared by threads; proxies and certificates as the environment says."""

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from ten import __version__
from ten.calls.failure import failure
from ten.calls.hangup import Hangup
from ten.errors import SpecError

_KEPT = 32
_calling = threading.local()


class _Watched:
    """Tells this thread's call which socket it waits on, before it waits."""

    def getresponse(self) -> Any:
        hangup: Hangup | None = getattr(_calling, "hangup", None)
        if hangup is not None:
            hangup.hold(self.sock)  # type: ignore[attr-defined]
        return super().getresponse()  # type: ignore[misc]


class _HTTP(_Watched, HTTPConnection):
    pass


class _HTTPS(_Watched, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class Connections:
    """Connections to any host, with nothing but GET, no redirects followed and no retries of their own."""

    def __init__(self) -> None:
        # a signed address is a key for as long as it lasts, and urllib3 logs every address it gets
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self._proxies = {scheme: address for scheme, address in getproxies().items() if address}
        self._lock = threading.Lock()
        self._managers: dict[str, urllib3.PoolManager] = {}

    def get(
        self, url: str, headers: Mapping[str, str], connect_s: float, silence_s: float, hangup: Hangup
    ) -> urllib3.BaseHTTPResponse:
        """An answer whose body is still to be read, and to be closed by the caller.

        Raises Transient when there is none, and ServiceUnavailable for a certificate that is not trusted.
        """
        _calling.hangup = hangup
        try:
            return self._manager(url).urlopen(
                "GET",
                url,
                headers={"User-Agent": f"ten/{__version__}", "Accept-Encoding": "identity", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=connect_s, read=silence_s),
            )
        except (HTTPError, OSError) as error:
            hangup.check()
            raise failure(error, url, silence_s) from None
        finally:
            _calling.hangup = None

    def close(self) -> None:
        """Close what is idle; what is in use closes when its reader is done."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()

    def _manager(self, url: str) -> urllib3.PoolManager:
        proxy = self._proxy(url)
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = _open_manager(proxy)
            return self._managers[proxy]

    def _proxy(self, url: str) -> str:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all") or ""
        if not proxy or proxy_bypass(parts.netloc):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"


def _open_manager(proxy: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {"num_pools": _KEPT, "maxsize": _KEPT, **_certificates()}
    manager: urllib3.PoolManager
    if not proxy:
        manager = urllib3.PoolManager(**options)
    else:
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https"):
            raise SpecError(f"{parts.scheme}:// proxies are not supported; set HTTPS_PROXY to an http:// one")
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=login)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        manager = urllib3.ProxyManager(address, **options)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


def _certificates() -> dict[str, str]:
    """A bundle named by REQUESTS_CA_BUNDLE; SSL_CERT_FILE and SSL_CERT_DIR are read by the TLS library itself."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", "")
    if not bundle:
        return {}
    if not Path(bundle).exists():
        raise SpecError(f"REQUESTS_CA_BUNDLE={bundle}: no such file; name one or unset it")
    return {"ca_cert_dir" if Path(bundle).is_dir() else "ca_certs": bundle}
