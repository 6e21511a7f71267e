"""S3 bucket: one request and its answer, tried again until it succeeds, is refused, or patience is over."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from ten.calls.failure import failure
from ten.calls.hangup import Hangup
from ten.calls.patience import Notices, Patience, Persistence
from ten.calls.retry import Transient
from ten.store.crew import Job
from ten.store.s3_client import make_client
from ten.store.s3_refusals import Refusals
from ten.store.s3_settings import S3Settings
from ten.units import format_seconds

Answer = dict[str, Any]
"""What boto3 makes of an answer."""
_BRIEF = Patience(connect_s=3.0, silence_s=3.0, total_s=6.0, adjustable=False)
"""With a service that has not answered yet: it is rather misnamed than down."""


class S3Bucket:
    """Requests for one bucket, from any thread. The client is made by the first."""

    def __init__(self, settings: S3Settings, patience: Patience) -> None:
        self.settings = settings
        self._patience = patience
        self._brief = _BRIEF if patience.total_s > _BRIEF.total_s else patience
        self._refusals = Refusals(settings)
        self._notices = Notices()
        self._lock = threading.Lock()
        self._client: Any = None
        self._answered = False

    def name(self, key: str) -> str:
        """An object, for people."""
        return f"{self.settings.url}/{key}" if key else self.settings.url

    def persistence(self, key: str, hangup: Hangup | None = None) -> Persistence:
        """The tries of one call."""
        source = "SPACES_ENDPOINT, SPACES_REGION" if self.settings.endpoint else "AWS_REGION"
        cure = f"Check the network and the store's endpoint ({source})"
        patience = self._patience if self._answered else self._brief
        return Persistence(patience, self.name(key), cure, hangup or Hangup(), self._notices)

    def ask(self, operation: str, key: str, hangup: Hangup | None = None, **parameters: Any) -> Answer:
        """An answer. Raises Refused where the caller may know what to do, and the user's errors."""
        persistence = self.persistence(key, hangup)
        return persistence.insist(lambda: self.attempt(operation, key, persistence, **parameters))

    def attempt(self, operation: str, key: str, persistence: Persistence, **parameters: Any) -> Answer:
        """The answer to one request; `key` is what it is about. Raises Transient also."""
        call = getattr(self._ready(), operation)
        if key and operation not in ("list_objects", "list_multipart_uploads"):
            parameters["Key"] = self.settings.prefix + key
        answer = self._translated(lambda: call(Bucket=self.settings.bucket, **parameters), key, persistence)
        self._has_answered(persistence)
        return answer

    def failure(self, error: Exception, persistence: Persistence) -> Transient:
        """What went wrong with the connection."""
        inner = error.kwargs.get("error", error) if isinstance(error, BotoCoreError) else error
        host = self.settings.host
        if isinstance(inner, Transient):
            return inner
        if isinstance(inner, ResponseParserError):
            return Transient(f"{host} answered with what is no answer of a store; does a proxy answer in its place?")
        if isinstance(error, BotoCoreError) and not isinstance(inner, HTTPError | OSError):
            return Transient(f"{host}: the connection broke ({type(error).__name__})")
        return failure(inner, f"//{host}", persistence.patience.silence_s)

    def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            self._client.close()

    def _translated(self, call: Callable[[], Answer], key: str, persistence: Persistence) -> Answer:
        try:
            return call() if self._answered else self._soon(call, persistence)
        except ClientError as error:
            self._has_answered(persistence)
            raise self._refusals.meaning(error, key) from None
        except (BotoCoreError, HTTPError, OSError) as error:
            persistence.hangup.check()
            raise self.failure(error, persistence) from None

    def _soon(self, call: Callable[[], Answer], persistence: Persistence) -> Answer:
        """The first answer of a service is not waited for as long as later ones."""
        given_up = threading.Event()
        job = Job(lambda _: _let_go(call(), given_up))
        threading.Thread(target=job.run, name="store", daemon=True).start()
        within_s = min(persistence.patience.silence_s, max(0.05, persistence.left_s()))
        if not job.finished(within_s):
            given_up.set()
            raise Transient(f"{self.settings.host}: silent for {format_seconds(within_s)}")
        return job.result()

    def _has_answered(self, persistence: Persistence) -> None:
        self._answered = True
        persistence.patience = self._patience

    def _ready(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = make_client(self.settings, self._patience)
            return self._client


def _let_go(answer: Answer, given_up: threading.Event) -> Answer:
    """An answer; its body is closed where it came too late for anybody to read it."""
    if given_up.is_set() and "Body" in answer:
        answer["Body"].close()
    return answer
