"""Exchange: one request and the redirects behind it; the token goes to the hub's own origin and nowhere else."""

from collections.abc import Mapping

from ten.calls.patience import Persistence
from ten.calls.retry import Transient
from ten.hub.answer import Answer
from ten.hub.connections import Connections
from ten.hub.endpoint import Endpoint
from ten.hub.locations import origin, redirect_target
from ten.hub.refusals import Subject, check_hub

_REDIRECTS = 5
_BRIEFEST_S = 0.05


class Exchange:
    """Asks the hub, and the file hosts that it points to."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.connections = Connections()
        self._home = origin(endpoint.url)

    def ask_hub(
        self, url: str, headers: Mapping[str, str], subject: Subject, persistence: Persistence
    ) -> tuple[Answer | None, str, Mapping[str, str]]:
        """The hub's answer with bytes, or None when it points to a file host; the address of either; the hub's headers.

        Raises Transient and, for a refusal, the user's error.
        """
        token = {"Authorization": f"Bearer {self.endpoint.token}"} if self.endpoint.token else {}
        for _ in range(_REDIRECTS):
            answer = self._get(url, {**headers, **token}, persistence)
            try:
                target = redirect_target(answer.status, answer.headers.get("Location"), url)
                if target is None:
                    check_hub(answer.status, answer.headers, subject, self.endpoint)
                    return answer, url, answer.headers
            except BaseException:
                answer.close()
                raise
            answer.close()
            if origin(target) != self._home:
                return None, target, answer.headers
            url = target
        raise Transient(f"{self.endpoint.url} sent on more than {_REDIRECTS} times")

    def ask_file_host(self, url: str, headers: Mapping[str, str], persistence: Persistence) -> Answer:
        """A file host's answer, good or bad, never with the token. Raises Transient when there is none."""
        for _ in range(_REDIRECTS):
            answer = self._get(url, headers, persistence)
            try:
                target = redirect_target(answer.status, answer.headers.get("Location"), url)
                if target is None:
                    return answer
            except BaseException:
                answer.close()
                raise
            answer.close()
            url = target
        raise Transient(f"{answer.host} sent on more than {_REDIRECTS} times")

    def _get(self, url: str, headers: Mapping[str, str], persistence: Persistence) -> Answer:
        left, patience = max(_BRIEFEST_S, persistence.left_s()), persistence.patience
        response = self.connections.get(
            url, headers, min(patience.connect_s, left), min(patience.silence_s, left), persistence.hangup
        )
        return Answer(response, url, persistence)
