"""Api: DigitalOcean's droplets, sizes, keys and tags through its official client; retried, and refused in our words."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ten.calls.hangup import Hangup
from ten.calls.patience import Notices, Patience, Persistence, read_patience
from ten.calls.retry import Transient, asked_wait_s
from ten.cloud.access import Access
from ten.cloud.machines import Droplet, Size, read_droplet, read_size
from ten.cloud.refusals import Busy, NoStock, refusal
from ten.errors import ServiceUnavailable, SpecError, TenError

_PAGE = 200
_CURE = "look at status.digitalocean.com"
_GONE = "not_found"
_SETTLE_S, _LOOK_EVERY_S = 20.0, 1.0
"""How long the API may take until what it has made is in its lists; how often to look meanwhile."""
_NOBODYS = 1
"""A droplet that is in no account."""
Answer = Mapping[str, Any]


class Api:
    """One client. Methods raise CredentialsError, SpecError and ServiceUnavailable, naming what was asked for."""

    def __init__(self, access: Access, patience: Patience | None = None) -> None:
        if find_spec("pydo") is None:
            raise SpecError("DigitalOcean's client is not installed; pip install 'ten[cloud]', or use `make up`")
        import pydo  # takes 0.2 s to import
        from azure.core.credentials import AzureKeyCredential
        from azure.core.pipeline.policies import AzureKeyCredentialPolicy

        self.access = access
        self._patience = patience or read_patience()
        self._notices = Notices()
        key = AzureKeyCredentialPolicy(AzureKeyCredential(access.token), "Authorization", prefix="Bearer")
        # Its own tries are switched off: it would send a create again that may have made a droplet.
        self._client = pydo.Client(
            access.token, endpoint=access.url, authentication_policy=key, retry_total=0, permit_redirects=False,
            connection_timeout=self._patience.connect_s, read_timeout=self._patience.silence_s,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sizes(self) -> list[Size]:
        """Every size, with its price and where it can be had now."""
        return [read_size(said) for said in self._pages("the sizes", "sizes", self._client.sizes.list)]

    def ssh_keys(self) -> list[Answer]:
        """The account's keys: id, name, fingerprint, public_key."""
        return list(self._pages("the account's SSH keys", "ssh_keys", self._client.ssh_keys.list))

    def droplets(self) -> list[Droplet]:
        """Ours, the oldest first. The plain list leaves out those with a GPU, and theirs cannot be asked for by tag."""
        found: dict[int, Droplet] = {}
        for kind in ("droplets", "gpus"):

            def ask(kind: str = kind, **page: int) -> Answer:
                said: Answer = self._client.droplets.list(type=kind, **page)
                return said

            listed = map(read_droplet, self._pages("the droplets", "droplets", ask))
            found |= {droplet.id: droplet for droplet in listed if droplet.is_ours}
        return sorted(found.values(), key=lambda droplet: (droplet.created, droplet.id))

    def droplet(self, number: int) -> Droplet | None:
        """A droplet as it is now; None where there is none any more."""
        said = self._insist(f"droplet {number}", lambda: self._client.droplets.get(number))
        if said.get("id") == _GONE:
            return None
        if "droplet" not in said:
            raise ServiceUnavailable(f"droplet {number}: {self.access.url} says neither what it is nor that it is gone")
        return read_droplet(said["droplet"])

    def create(self, wanted: Mapping[str, Any]) -> Droplet:
        """Make a droplet. Raises NoStock where that size is not to be had there.

        Where no answer came the droplet's name, which is its own, tells whether it was made. The request is sent again
        only when it has not turned up for a while, and what turns up later is destroyed.
        """
        name, in_doubt = str(wanted["name"]), False

        def attempt() -> Droplet:
            nonlocal in_doubt
            try:
                said = self._ask(f"droplet {name}", lambda: self._client.droplets.create(body=dict(wanted)))
            except Busy:
                raise
            except Transient:
                in_doubt = True
                if made := self.turned_up(name):
                    return made[0]
                raise
            except (NoStock, TenError):  # it may be the first one that took the last machine
                if in_doubt and (made := self.turned_up(name)):
                    return made[0]
                raise
            return read_droplet(said["droplet"])

        made = self._persistence(f"droplet {name}").insist(attempt)
        for twin in self._named(name) if in_doubt else ():
            if twin.id != made.id:
                self.destroy(twin.id)
        return made

    def turned_up(self, name: str) -> list[Droplet]:
        """Our droplets of a name, as soon as one is in the lists; none where none is for long enough."""
        until = time.monotonic() + min(_SETTLE_S, self._patience.total_s / 3)
        while True:
            if (found := self._named(name)) or time.monotonic() > until:
                return found
            time.sleep(_LOOK_EVERY_S)

    def _named(self, name: str) -> list[Droplet]:
        return [droplet for droplet in self.droplets() if droplet.name == name]

    def tag(self, droplet: Droplet, tag: str) -> None:
        """Give a droplet one more tag."""
        resources = {"resources": [{"resource_id": str(droplet.id), "resource_type": "droplet"}]}
        self._insist(f"tag {tag}", lambda: self._client.tags.create(body={"name": tag}))
        self._insist(f"tag {tag}", lambda: self._client.tags.assign_resources(tag, body=resources))

    def destroy(self, number: int) -> None:
        """Ask for a droplet's end; that it came, `droplet` shows. Nothing happens where it is gone."""
        self._insist(f"destroying droplet {number}", lambda: self._client.droplets.destroy(number))

    def check_may_destroy(self) -> None:
        """Raise CredentialsError where this token could not end a droplet: shown on one that there is not."""
        self.destroy(_NOBODYS)

    def _pages(self, what: str, field: str, ask: Callable[..., Answer]) -> Iterator[Answer]:
        number = 1
        while True:
            said = self._insist(what, lambda number=number: ask(per_page=_PAGE, page=number))  # type: ignore[misc]
            found: Sequence[Answer] = said.get(field) or ()
            yield from found
            if not ((said.get("links") or {}).get("pages") or {}).get("next"):
                return
            number += 1

    def _insist(self, what: str, call: Callable[[], Answer | None]) -> Answer:
        return self._persistence(what).insist(lambda: self._ask(what, call))

    def _persistence(self, what: str) -> Persistence:
        return Persistence(self._patience, what, _CURE, Hangup(), self._notices)

    def _ask(self, what: str, call: Callable[[], Answer | None]) -> Answer:
        """One try. The client hands some refusals back as answers: those of what is not there."""
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            said = call() or {}
        except HttpResponseError as error:
            headers = {} if error.response is None else dict(error.response.headers)
            lower = {name.lower(): value for name, value in headers.items()}
            wait_s = asked_wait_s({"Retry-After": str(lower.get("retry-after", ""))})
            raise refusal(error.status_code or 0, _words(error), what, self.access, wait_s) from None
        except ValueError:
            raise Transient(f"{self.access.url}: an answer that is no JSON") from None
        except AzureError as error:  # no connection, or one that broke
            raise Transient(f"{self.access.url}: {type(error.inner_exception or error).__name__}") from None
        return said


def _words(error: Any) -> str:
    """The API's own words."""
    try:
        said = error.response.json()
    except (ValueError, AttributeError):
        said = {}
    words = (
        str(said.get("message") or error.reason or "no reason given") if isinstance(said, dict) else "no reason given"
    )
    return words.rstrip(".")[:300]
