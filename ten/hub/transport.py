"""Transport: bytes and lists from the hub, exact whatever happens on the way, or an error that says what to do."""

import os
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ten.calls.hangup import Hangup
from ten.calls.patience import Notices, Patience, Persistence, read_patience
from ten.calls.retry import Transient
from ten.errors import ServiceUnavailable
from ten.hub.address import HubAddress
from ten.hub.content_range import check_size, content_length
from ten.hub.endpoint import PUBLIC_HUB, Endpoint, read_endpoint
from ten.hub.exchange import Exchange
from ten.hub.parts import Parts
from ten.hub.recent import RecentReads
from ten.hub.refusals import Subject, about_api, about_file, check_file_host, check_kind

_NEXT = re.compile(r'<([^<>]+)>\s*;[^,<]*\brel="?next"?', re.IGNORECASE)


class Transport:
    """One process's way to one hub; any number of threads may use it.

    Every call raises ServiceUnavailable when the hub is not reached within the patience or must not be asked
    (offline), MissingInput for what the hub does not have and CredentialsError for what it does not give.
    """

    def __init__(self, endpoint: Endpoint, patience: Patience) -> None:
        self.endpoint, self.patience = endpoint, patience
        self._exchange = Exchange(endpoint)
        self._parts = Parts(self._exchange)
        self._recent, self._notices = RecentReads(), Notices()

    def get_json(self, path: str, awaited: str) -> tuple[Any, Mapping[str, str]]:
        """What the hub's API says at `path` ("/api/datasets/...") and the answer's headers."""
        subject = about_api(path, awaited)
        persistence = self._persistence(awaited, None)

        def attempt() -> tuple[Any, Mapping[str, str]]:
            data, headers = self._fetch(self.endpoint.url + path, subject, persistence)
            try:
                return msgspec.json.decode(data), headers
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Transient(f"{self.endpoint.url} sent JSON that is none ({error})") from None

        return persistence.insist(attempt)

    def get_pages(self, path: str, awaited: str) -> list[Any]:
        """All items of a list that the hub's API gives out page by page."""
        items: list[Any] = []
        seen: set[str] = set()
        following: str | None = path
        while following is not None:
            found, headers = self.get_json(following, awaited)
            seen.add(following)
            following = self._next_page(headers.get("Link", ""))
            if not isinstance(found, list) or following in seen:
                raise ServiceUnavailable(f"{awaited}: {self.endpoint.url} sent no list of pages; check HF_ENDPOINT")
            items += found
        return items

    def content(self, address: HubAddress) -> tuple[bytes, Mapping[str, str]]:
        """A whole small file and the headers of the hub's own answer: X-Repo-Commit, ETag, X-Linked-Size."""
        subject = about_file(address)
        persistence = self._persistence(str(address), None)
        url = self.endpoint.url + address.route
        return persistence.insist(lambda: self._fetch(url, subject, persistence))

    def read(
        self, address: HubAddress, start: int, stop: int, size: int | None = None, hangup: Hangup | None = None
    ) -> bytes:
        """Exactly bytes [start, stop) of a file; `size` is what the listing says of the whole.

        Raises DataError when the file at the host has another size. Another thread may cut the `hangup`: the call then
        ends with HungUp.
        """
        if not 0 <= start <= stop:
            raise ValueError(f"{address}: bytes [{start}, {stop}) are no range")
        check_size(str(address), size, None, stop)
        data = b"" if start == stop else self._recent.find((address, start, stop))
        if data is not None:
            return data
        persistence = self._persistence(f"bytes {start}-{stop - 1} of {address}", hangup)
        pieces: list[bytes] = []

        def attempt() -> None:
            begin = start + sum(map(len, pieces))
            while begin < stop:
                if persistence.left_s() < 0:
                    raise Transient("only crumbs of it at a time")
                with self._parts.opened(address, begin, stop, size, persistence) as (answer, length):
                    for piece in answer.receive(length):
                        pieces.append(piece)
                        begin += len(piece)
                        persistence.reached(begin - start)

        persistence.insist(attempt)
        data = b"".join(pieces)
        self._recent.keep((address, start, stop), data)
        return data

    def forget(self, address: HubAddress) -> None:
        """Have no bytes of a file at hand: what came of it does not decode, and is to be fetched anew."""
        self._recent.forget(address)

    def close(self) -> None:
        """Close the connections that are idle; calls in flight go on to their end."""
        self._exchange.connections.close()

    def _persistence(self, awaited: str, hangup: Hangup | None) -> Persistence:
        url = self.endpoint.url
        if self.endpoint.offline:
            raise ServiceUnavailable(
                f"{awaited}: not in the cache, and HF_HUB_OFFLINE forbids asking {url}; unset it to fetch"
            )
        page = ", https://status.huggingface.co" if url == PUBLIC_HUB else ""
        cure = f"Check this machine's network and proxies{page} and HF_ENDPOINT ({url})"
        return Persistence(self.patience, awaited, cure, hangup or Hangup(), self._notices)

    def _fetch(self, url: str, subject: Subject, persistence: Persistence) -> tuple[bytes, Mapping[str, str]]:
        """A whole body, and the headers the hub itself answered with."""
        answer, url, hub_headers = self._exchange.ask_hub(url, {}, subject, persistence)
        outside = answer is None
        with answer or self._exchange.ask_file_host(url, {}, persistence) as answer:
            if outside and not check_file_host(answer.status, answer.headers, answer.host):
                raise Transient(f"the file host {answer.host} refused the signed address with {answer.status}")
            check_kind(answer.headers, subject.path, answer.host)
            if answer.status != 200:
                raise Transient(f"{answer.host} answered {answer.status} to a request for the whole")
            length, linked = content_length(answer.headers), hub_headers.get("X-Linked-Size", "")
            check_size(subject.name, length, int(linked) if linked.isdecimal() else None)
            body = bytearray()
            for piece in answer.receive(length):
                body += piece
                persistence.reached(len(body))
            return bytes(body), hub_headers

    def _next_page(self, link: str) -> str | None:
        """Path of the next page; whichever host the link names, this endpoint is asked."""
        match = _NEXT.search(link)
        if match is None:
            return None
        parts = urlsplit(match[1])
        path = parts.path.removeprefix(urlsplit(self.endpoint.url).path)
        return f"{path}?{parts.query}" if parts.query else path


_shared: tuple[int, Transport] | None = None
_sharing = threading.Lock()


def shared_transport() -> Transport:
    """This process's transport, made from the environment when first asked for. Raises SpecError as its readers do."""
    global _shared
    with _sharing:
        if _shared is None or _shared[0] != os.getpid():  # connections are not inherited
            _shared = os.getpid(), Transport(read_endpoint(), read_patience())
        return _shared[1]
