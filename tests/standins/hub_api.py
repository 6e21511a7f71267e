"""What the stand-in of the hub answers: repositories' listings and files, refusals with the hub's own error codes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

import yaml

from tests.standins.hub_repos import Blob, Commit, Repositories, Repository
from tests.standins.hub_signatures import Signatures

_REVISION = r"(?P<revision>refs/[^/]+/[^/]+|[^/]+)"
_REPO = r"(?P<repo>[^/]+(?:/[^/]+)??)"
_RESOLVE = re.compile(rf"/(?P<prefix>(?:datasets/)?){_REPO}/resolve/{_REVISION}/(?P<path>.+)")
_API = re.compile(
    rf"/(?P<prefix>api/(?:datasets|models)/){_REPO}"
    rf"(?:/(?P<verb>revision|tree|paths-info|refs|commits)(?:/{_REVISION}(?:/(?P<path>.*))?)?)?"
)
_FILE = re.compile(r"/(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)/(?P<commit>[0-9a-f]{40})/(?P<path>.+)")
_DATE = "2024-07-01T00:00:00.000Z"


@dataclass(frozen=True)
class Request:
    """What the answer to a request depends on."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    host: str
    """As the caller addresses the server."""
    token: str | None = None
    body: bytes = b""
    json: bool = False

    def asks(self, name: str) -> bool:
        """Whether a flag of the query is set."""
        return self.query.get(name, [""])[0].lower() in ("true", "1")


@dataclass(frozen=True)
class Answer:
    """Status, headers and body; the body is a file when `blob` is given."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    blob: Blob | None = None
    type: str = "application/json"


class HubApi:
    """Answers on both ports."""

    def __init__(self, repositories: Repositories, signatures: Signatures) -> None:
        self.page = 1000
        """Entries of a listing per answer."""
        self.cdn = ""
        """Origin of the file host."""
        self._repositories, self._signatures = repositories, signatures

    def answer_file_host(self, request: Request) -> Answer:
        """The file host: signed URLs only, nobody is asked for a token."""
        signed = request.query.get("X-Signed", [""])[0]
        found = _FILE.fullmatch(request.path)
        if found is None or not self._signatures.holds(signed, request.path):
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>", type="application/xml")
        repository = self._repositories.get(found["kind"], found["repo"])
        blob = repository.commits[found["commit"]].files[unquote(found["path"])] if repository else None
        headers = {"ETag": blob.etag, "Accept-Ranges": "bytes"} if blob else {}
        return Answer(200 if blob else 404, headers=headers, blob=blob)

    def answer(self, request: Request) -> Answer:
        """The hub."""
        if request.token is not None and not request.token.startswith("hf_"):
            return _refuse(401, "", "Invalid credentials in Authorization header")
        if request.path == "/api/whoami-v2":
            user = {"type": "user", "id": "1", "name": "tester", "orgs": [], "auth": {"type": "access_token"}}
            return _json(user) if request.token else _refuse(401, "", "Invalid username or password.")
        for pattern in (_API, _RESOLVE):
            if found := pattern.fullmatch(request.path):
                return self._answer_repository(request, found)
        return _refuse(404, "", "Not Found")

    def _answer_repository(self, request: Request, found: re.Match[str]) -> Answer:
        kind = "datasets" if "datasets/" in found["prefix"] else "models"
        repository = self._repositories.get(kind, found["repo"])
        if repository is None and (target := self._repositories.alias(kind, found["repo"])):
            query = f"?{urlencode(request.query, doseq=True)}" if request.query else ""
            rest = request.path.removeprefix(f"/{found['prefix']}{found['repo']}")
            return Answer(307, headers={"Location": f"/{found['prefix']}{target}{rest}{query}"})
        known = repository is not None and request.token in repository.access.tokens
        if repository is None or (repository.access.private and not known):
            return _refuse(404 if request.token else 401, "RepoNotFound", "Repository not found")
        revision = unquote(found["revision"] or "main")
        commit = repository.find(revision)
        if commit is None:
            return _refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        path = unquote(found["path"] or "").strip("/")
        if found.re is _API:
            return self._answer_api(request, found["verb"] or "revision", repository, commit, path)
        if repository.access.gated and not known:
            message = f"Access to {kind[:-1]} {repository.name} is restricted. You must be granted access."
            return _refuse(403 if request.token else 401, "GatedRepo", message)
        return self._resolve(repository, commit, path)

    def _answer_api(self, request: Request, verb: str, repository: Repository, commit: Commit, path: str) -> Answer:
        if verb == "tree":
            return self._tree(request, commit, path)
        if verb == "paths-info":
            named = json.loads(request.body)["paths"] if request.json else parse_qs(request.body.decode()).get("paths")
            folders = {str(parent): "" for name in commit.files for parent in PurePosixPath(name).parents}
            found = [name for name in named or [] if name in commit.files or name in folders]
            return _json([_entry(name, commit) for name in found])
        if verb == "refs":
            return _json(_refs(repository))
        if verb == "commits":
            history = next((line for line in repository.branches.values() if commit.sha in line), [commit.sha])
            reached = history[: history.index(commit.sha) + 1]
            return _json([_commit(repository.commits[sha]) for sha in reversed(reached)])
        return _json(_information(repository, commit, request.asks("blobs")))

    def _resolve(self, repository: Repository, commit: Commit, path: str) -> Answer:
        blob = commit.files.get(path)
        headers = {"X-Repo-Commit": commit.sha}
        if blob is None:
            return _refuse(404, "EntryNotFound", "Entry not found", headers)
        headers |= {"ETag": blob.etag, "Accept-Ranges": "bytes"}
        if not blob.sha256:
            return Answer(200, headers=headers, blob=blob, type="text/plain; charset=utf-8")
        place = f"/{repository.kind}/{repository.name}/{commit.sha}/{quote(path)}"
        location = f"{self.cdn}{place}?X-Signed={self._signatures.issue(place)}"
        linked = {"X-Linked-Size": str(blob.size), "X-Linked-ETag": blob.etag, "Location": location}
        return Answer(302, b"Found", headers=headers | linked, type="text/plain")

    def _tree(self, request: Request, commit: Commit, path: str) -> Answer:
        recursive, below = request.asks("recursive"), f"{path}/" if path else ""
        names: dict[str, None] = {}
        for name in commit.files:
            if name.startswith(below):
                steps = name.removeprefix(below).split("/")
                depth = len(steps) if recursive else 1
                names.update((below + "/".join(steps[:step]), None) for step in range(1, depth + 1))
        if path and not names:
            return _refuse(404, "EntryNotFound", f"{path} does not exist", {"X-Repo-Commit": commit.sha})
        limit = min(self.page, int(request.query.get("limit", ["1000"])[0]))
        start = int(request.query.get("cursor", ["0"])[0])
        entries = [_entry(name, commit, request.asks("expand")) for name in [*names][start : start + limit]]
        if start + limit >= len(names):
            return _json(entries)
        query = urlencode({**request.query, "cursor": [str(start + limit)]}, doseq=True)
        place = quote(request.path, safe="/%")
        return _json(entries, {"Link": f'<http://{request.host}{place}?{query}>; rel="next"'})


def _entry(name: str, commit: Commit, expand: bool = False) -> dict[str, Any]:
    """A file or folder of a listing."""
    blob = commit.files.get(name)
    entry: dict[str, Any] = {"type": "directory", "oid": commit.sha, "size": 0, "path": name}
    if blob is not None:
        entry |= {"type": "file", "oid": blob.oid, "size": blob.size}
        if blob.sha256:
            entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
    if expand:
        entry["lastCommit"] = {"id": commit.sha, "title": commit.title, "date": _DATE}
    return entry


def _information(repository: Repository, commit: Commit, blobs: bool) -> dict[str, Any]:
    """What the hub says of a repository at a commit."""
    siblings: list[dict[str, Any]] = []
    for name, blob in commit.files.items():
        entry: dict[str, Any] = {"rfilename": name}
        if blobs:
            entry |= {"size": blob.size, "blobId": blob.oid}
        if blobs and blob.sha256:
            entry["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
        siblings.append(entry)
    common = {"id": repository.name, "author": repository.name.split("/")[0], "sha": commit.sha, "siblings": siblings}
    card = _front_matter(commit.files["README.md"]) if "README.md" in commit.files else None
    access = {"private": repository.access.private, "gated": repository.access.gated or False, "disabled": False}
    dates = {"lastModified": _DATE, "createdAt": _DATE}
    return common | access | dates | {"tags": [], "downloads": 1, "likes": 1} | ({"cardData": card} if card else {})


def _front_matter(readme: Blob) -> Any:
    """The YAML at the head of a README."""
    found = re.match(r"---\r?\n(.*?)\n---", readme.path.read_text(encoding="utf-8"), re.DOTALL)
    return yaml.safe_load(found[1]) if found else None


def _refs(repository: Repository) -> dict[str, Any]:
    refs: dict[str, Any] = {"branches": [], "converts": [], "tags": []}
    for name, history in repository.branches.items():
        converted = name.startswith("refs/convert/")
        short = name.removeprefix("refs/convert/")
        ref = {"name": short, "ref": name if converted else f"refs/heads/{name}", "targetCommit": history[-1]}
        refs["converts" if converted else "branches"].append(ref)
    return refs


def _commit(commit: Commit) -> dict[str, Any]:
    return {"id": commit.sha, "title": commit.title, "message": "", "authors": [], "date": _DATE}


def _json(value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, default=str).encode(), headers or {})


def _refuse(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    codes = {"X-Error-Code": code} if code else {}
    return _json({"error": message}, {**codes, "X-Error-Message": message, **(headers or {})}, status)
