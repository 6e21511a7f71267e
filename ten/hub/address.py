"""Address: one file of one repository at one revision, as `hf://datasets/ns/name@revision/path`."""

import re
from typing import Literal
from urllib.parse import quote, unquote

import msgspec

from ten.errors import SpecError

_SCHEME = "hf://"
_SHAPE = re.compile(
    r"hf://(?P<kind>datasets/)?(?P<repo>[\w.-]+(?:/[\w.-]+)?)"
    r"@(?P<revision>refs/(?:convert|pr)/[^/@]+|[^/@]+)/(?P<path>.+)"
)


class HubAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A file at the hub."""

    kind: Literal["datasets", "models"]
    repo: str
    """"namespace/name"; a few old models have no namespace."""
    revision: str
    """A commit, a branch or a tag."""
    path: str
    """The file's path in the repository."""

    def __str__(self) -> str:
        kind = "datasets/" if self.kind == "datasets" else ""
        return f"{_SCHEME}{kind}{self.repo}@{quote(self.revision, safe='')}/{self.path}"

    @property
    def route(self) -> str:
        """Path of the file's bytes at a hub, below its endpoint."""
        kind = "datasets/" if self.kind == "datasets" else ""
        return f"/{kind}{self.repo}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


def is_hub(path: str) -> bool:
    """Whether a path is a file at the hub."""
    return path.startswith(_SCHEME)


def parse_address(text: str) -> HubAddress:
    """The address that str() made, or a person wrote. Raises SpecError for anything else."""
    match = _SHAPE.fullmatch(text)
    if match is None or ".." in match["path"].split("/"):
        raise SpecError(
            f"{text!r} is no file at the hub; write hf://datasets/NAMESPACE/NAME@REVISION/PATH, "
            "and for a model's file hf://NAMESPACE/NAME@REVISION/PATH"
        )
    return HubAddress(
        kind="datasets" if match["kind"] else "models",
        repo=match["repo"],
        revision=unquote(match["revision"]),
        path=match["path"],
    )
