"""Refusals: what a status and the hub's error codes mean for what was asked, as the user's error or as "later"."""

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from ten.calls.retry import Transient, asked_wait_s, passes_by_itself
from ten.errors import CredentialsError, MissingInput, ServiceUnavailable, TenError
from ten.hub.address import HubAddress
from ten.hub.endpoint import Endpoint

_ROUTES = {"revision", "tree", "paths-info", "refs", "commits", "resolve"}
_QUOTED = 200


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is about."""

    name: str
    """In words, or an address."""
    kind: str = ""
    repo: str = ""
    revision: str = ""
    path: str = ""

    @property
    def noun(self) -> str:
        """ "dataset" or "model"."""
        return {"datasets": "dataset", "models": "model"}.get(self.kind, "repository")


def about_file(address: HubAddress) -> Subject:
    """A file at the hub."""
    return Subject(
        name=str(address), kind=address.kind, repo=address.repo, revision=address.revision, path=address.path
    )


def about_api(path: str, awaited: str) -> Subject:
    """A path of the hub's API, such as /api/datasets/ns/name/tree/main/data."""
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[:1] != ["api"] or len(parts) < 3 or parts[1] not in ("datasets", "models"):
        return Subject(name=awaited)
    words = 1 if len(parts) > 3 and parts[3] in _ROUTES else 2
    rest = parts[2 + words :]
    return Subject(
        name=awaited,
        kind=parts[1],
        repo="/".join(parts[2 : 2 + words]),
        revision=unquote(rest[1]) if len(rest) > 1 else "",
        path=unquote("/".join(rest[2:])),
    )


def check_hub(status: int, headers: Mapping[str, str], subject: Subject, endpoint: Endpoint) -> None:
    """Raises what an answer of the hub that is no success means: Transient, or the user's error."""
    if status in (200, 206, 416):
        return
    if passes_by_itself(status):
        raise Transient(f"{endpoint.url} answered {status}{_quoted(headers)}", asked_wait_s(headers))
    raise _refusal(status, headers, subject, endpoint)


def check_file_host(status: int, headers: Mapping[str, str], host: str) -> bool:
    """Whether a file host gave bytes, or said which there are; False when the signed address is no longer good.

    Raises Transient for an answer that passes by itself.
    """
    if passes_by_itself(status):
        raise Transient(f"the file host {host} answered {status}", asked_wait_s(headers))
    return status in (200, 206, 416)


def check_kind(headers: Mapping[str, str], name: str, host: str) -> None:
    """Raises Transient when a web page came where a file or data was asked for."""
    if headers.get("Content-Type", "").lower().startswith("text/html") and not name.lower().endswith((".html", ".htm")):
        raise Transient(
            f"{host} sent a web page instead; a proxy or the sign-in page of a network answers in its place"
        )


def _refusal(status: int, headers: Mapping[str, str], subject: Subject, endpoint: Endpoint) -> TenError:
    code, quoted = headers.get("X-Error-Code", ""), _quoted(headers)
    page = f"{endpoint.url}/{'datasets/' if subject.kind == 'datasets' else ''}{subject.repo}"
    if code == "RepoNotFound":
        sent = (
            "" if endpoint.token is None else f" and the token of {_source(endpoint)}, which was sent, does not open it"
        )
        return MissingInput(
            f"no {subject.noun} {subject.repo} at {endpoint.url}, or it is private{sent}: check the spelling, "
            f"or {_another(endpoint)} a token that may read it"
        )
    if code == "GatedRepo":
        then = "set HF_TOKEN" if endpoint.token is None else f"use a token of that account ({endpoint.token_source})"
        return CredentialsError(
            f"{subject.noun} {subject.repo} is gated: ask for access at {page}, then {then}{quoted}"
        )
    if code == "RevisionNotFound":
        return MissingInput(
            f"{subject.noun} {subject.repo} has no revision {subject.revision!r}: see {page}/tree/main for those it has"
        )
    if code == "DisabledRepo":
        return MissingInput(f"{subject.noun} {subject.repo} is disabled at {endpoint.url}{quoted}; choose another")
    if status == 401 and endpoint.token is not None:
        return CredentialsError(
            f"{endpoint.url} does not accept the token of {_source(endpoint)}: make another at "
            f"{endpoint.url}/settings/tokens, or unset it for public data"
        )
    if status in (401, 403):
        return CredentialsError(
            f"{subject.name}: {endpoint.url} answered {status}{quoted}; {_another(endpoint)} a token that may read it"
        )
    if status in (404, 410):
        what = f"no file {subject.path!r}" if subject.path else f"{subject.name}: nothing there"
        where = f" in {subject.noun} {subject.repo} at revision {subject.revision!r}" if subject.repo else ""
        return MissingInput(f"{what}{where} ({endpoint.url} answered {status}{quoted}); check names and revision")
    return ServiceUnavailable(
        f"{subject.name}: {endpoint.url} answered {status}{quoted}; check HF_ENDPOINT and what was asked for"
    )


def _another(endpoint: Endpoint) -> str:
    return "give HF_TOKEN" if endpoint.token is None else f"give {_source(endpoint)}"


def _source(endpoint: Endpoint) -> str:
    return endpoint.token_source or "HF_TOKEN"


def _quoted(headers: Mapping[str, str]) -> str:
    """The host's own words: one line, and no longer than a line."""
    words = " ".join("".join(c if c.isprintable() else " " for c in headers.get("X-Error-Message", "")).split())
    if not words or "://" in words:  # an address might carry a signature
        return ""
    return f" ({words[:_QUOTED]})"
