"""S3 refusals: what a service's error codes mean for what was asked, as the user's error or as "later"."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from ten.calls.retry import Transient, asked_wait_s, passes_by_itself
from ten.errors import CredentialsError, MissingInput, ServiceUnavailable, StoreError, TenError
from ten.store.s3_settings import S3Settings
from ten.units import format_seconds

PRECONDITION = "PreconditionFailed"
"""The code where an object is there that must not be."""
_LATER = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException",
    "TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded", "OperationAborted",
    "ConditionalRequestConflict",
}  # fmt: skip
_DAMAGED = {"BadDigest", "InvalidDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_ELSEWHERE = {
    "PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException", "InvalidLocationConstraint",
}  # fmt: skip
_OFF_S = 240.0
"""A clock this far off may be what a refusal is about: services allow 15 minutes."""
_QUOTED = 200


class Refused(Exception):
    """An answer that the code which asked wants to judge itself; never leaves the store."""

    def __init__(self, code: str, size: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.size = size
        """How long the object is, where the answer says so."""


class Refusals:
    """Judges a service's answers for one bucket."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings

    def meaning(self, error: ClientError, key: str) -> Exception:
        """Transient, Refused or the user's error that an answer about `key` (empty: about the bucket) stands for."""
        response: dict[str, Any] = error.response
        about = response.get("Error", {})
        metadata = response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        code = str(about.get("Code", ""))
        headers = {name.lower(): value for name, value in metadata.get("HTTPHeaders", {}).items()}
        host, words = self._settings.host, self._quoted(about)
        if code in _DAMAGED:
            return Transient(f"{host} says that it arrived damaged ({code})")
        if code in _LATER or (passes_by_itself(status) and status != 501):
            asked = asked_wait_s({"Retry-After": headers.get("retry-after", "")})
            return Transient(f"{host} answered {status}{words}", asked)
        if code in (PRECONDITION, "NoSuchUpload") or status == 412:
            return Refused(PRECONDITION if status == 412 else code)
        if status == 416:
            return Refused("InvalidRange", _number(about.get("ActualObjectSize")))
        return self._error(code, status, headers, key, about, words)

    def _error(
        self, code: str, status: int, headers: dict[str, str], key: str, about: dict[str, Any], words: str
    ) -> TenError:
        settings = self._settings
        name = f"{settings.url}/{key}" if key else settings.url
        if code == "NoSuchKey" or (status == 404 and code != "NoSuchBucket" and key):
            return MissingInput(f"{name}: no such object in the store")
        if status == 404:
            where = "in another region, or misspelt" if settings.endpoint else "misspelt, or nobody's"
            return ServiceUnavailable(
                f"{settings.url}: no bucket {settings.bucket!r} at {settings.host}: it may be {where}; make it, or "
                "correct the store's address, SPACES_REGION or SPACES_ENDPOINT"
            )
        if code in _ELSEWHERE or status in (301, 307):
            return self._elsewhere(headers, about, words)
        if status in (400, 401, 403):
            return self._denied(code, headers, name, words)
        return StoreError(f"{name}: {settings.host} answered {status}{words}")

    def _elsewhere(self, headers: dict[str, str], about: dict[str, Any], words: str) -> ServiceUnavailable:
        settings = self._settings
        region = headers.get("x-amz-bucket-region") or about.get("Region") or ""
        cure = (
            f"set AWS_REGION={region} (SPACES_REGION={region} at DigitalOcean)"
            if region
            else "set SPACES_REGION or AWS_REGION to the bucket's own"
        )
        there = f" in region {region}" if region else " in another region"
        at = f"{settings.host} was asked, for region {settings.region}"
        return ServiceUnavailable(f"{settings.url}: bucket {settings.bucket!r} is{there}, while {at}{words}; {cure}")

    def _denied(self, code: str, headers: dict[str, str], name: str, words: str) -> TenError:
        settings, keys = self._settings, self._settings.keys
        ahead = _clock_ahead_s(headers.get("date", ""))
        if code == "RequestTimeTooSkewed" or (ahead is not None and abs(ahead) > _OFF_S):
            by = "" if ahead is None else f" by {format_seconds(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
            return CredentialsError(
                f"{name}: this machine's clock is off{by}, says {settings.host}, which then refuses signatures; "
                "set it, for example with: timedatectl set-ntp true"
            )
        if code == "InvalidAccessKeyId":
            return CredentialsError(
                f"{name}: {settings.host} does not know the key in {keys.id_from}; correct it, or make another key"
            )
        if code == "SignatureDoesNotMatch":
            return CredentialsError(
                f"{name}: {settings.host} refuses the signature: the secret in {keys.secret_from} is not that of "
                f"{keys.id_from}; copy it again, whole and without quotes"
            )
        if code in ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"):
            return CredentialsError(f"{name}: the token in AWS_SESSION_TOKEN has expired{words}; fetch another")
        if code in ("AccessDenied", "AccountProblem", "AllAccessDisabled", "NotSignedUp") or code in ("401", "403"):
            return CredentialsError(
                f"{name}: {settings.host} does not let the key in {keys.id_from} do this{words}; give it read and "
                f"write access to bucket {settings.bucket!r}, or set another key"
            )
        kind = StoreError if code and not code.isdigit() else CredentialsError
        return kind(f"{name}: {settings.host} refuses{words}; check {keys.id_from}, {keys.secret_from} and the region")

    def _quoted(self, about: dict[str, Any]) -> str:
        """The service's own words: one line, no longer than a line, and without the keys."""
        code, message = str(about.get("Code", "")), " ".join(str(about.get("Message", "")).split())
        text = ": ".join(part for part in (code, message) if part)
        for hidden in (self._settings.keys.id, self._settings.keys.secret, self._settings.keys.token):
            text = text.replace(hidden, "…") if hidden else text
        return f" ({text[:_QUOTED]})" if text else ""


def _clock_ahead_s(date: str) -> float | None:
    """How far this machine's clock is ahead of the one that an answer's Date header shows."""
    try:
        there = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return (datetime.now(UTC) - (there if there.tzinfo else there.replace(tzinfo=UTC))).total_seconds()


def _number(text: object) -> int | None:
    return int(str(text)) if str(text).isdecimal() else None
