"""Parts: opens a part of a file wherever its bytes are served from, and sees that it is that part."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ten.calls.patience import Persistence
from ten.calls.retry import Transient
from ten.hub.address import HubAddress
from ten.hub.answer import Answer
from ten.hub.content_range import check_part, check_size, parse_content_range
from ten.hub.exchange import Exchange
from ten.hub.locations import Location, Locations
from ten.hub.refusals import about_file, check_file_host, check_kind


class Parts:
    """Parts of files, each file's place asked for once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._locations = Locations()

    @contextmanager
    def opened(
        self, address: HubAddress, start: int, stop: int, size: int | None, persistence: Persistence
    ) -> Iterator[tuple[Answer, int]]:
        """An answer whose body stands at byte `start` of the file, and how many bytes of it to take.

        Raises DataError when the file is not of `size` bytes, Transient, and the errors of a refusal.
        """
        location, answer = self._answer(address, {"Range": f"bytes={start}-{stop - 1}"}, size, persistence)
        with answer:
            if not location.at_hub and not check_file_host(answer.status, answer.headers, answer.host):
                self._locations.forget(address, location)
                raise Transient(f"the file host {answer.host} refused the signed address with {answer.status}")
            if answer.status == 416:
                part = parse_content_range(answer.headers.get("Content-Range", ""))
                check_size(str(address), part.total if part else None, size, stop)
                raise Transient(f"{answer.host} says that it has no bytes {start}-{stop - 1}")
            check_kind(answer.headers, address.path, answer.host)
            skip, take = check_part(str(address), answer.status, answer.headers, start, stop, size)
            for _ in answer.receive(skip):
                pass
            yield answer, take

    def _answer(
        self, address: HubAddress, headers: Mapping[str, str], size: int | None, persistence: Persistence
    ) -> tuple[Location, Answer]:
        location = self._locations.find(address)
        if location is None:
            with self._locations.asking(address, persistence):
                location = self._locations.find(address)
                if location is None:
                    route = Location(url=self._exchange.endpoint.url + address.route, at_hub=True)
                    location, answer = persistence.insist(
                        lambda: self._ask_hub(route, address, headers, size, persistence)
                    )
                    if answer is not None:
                        return location, answer
        elif location.at_hub:
            location, answer = self._ask_hub(location, address, headers, size, persistence)
            if answer is not None:
                return location, answer
        return location, self._exchange.ask_file_host(location.url, headers, persistence)

    def _ask_hub(
        self,
        location: Location,
        address: HubAddress,
        headers: Mapping[str, str],
        size: int | None,
        persistence: Persistence,
    ) -> tuple[Location, Answer | None]:
        """Ask at a place at the hub; learn where the bytes are: there, with the answer, or at a file host."""
        answer, url, found = self._exchange.ask_hub(location.url, headers, about_file(address), persistence)
        linked = found.get("X-Linked-Size", "")
        try:
            check_size(str(address), int(linked) if linked.isdecimal() else None, size)
        except BaseException:
            if answer is not None:
                answer.close()
            raise
        location = Location(url=url, at_hub=answer is not None)
        self._locations.learn(address, location)
        return location, answer
