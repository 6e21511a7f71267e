"""Container: what every rendering says of the one container a job runs in: image, command, folders, variables."""

import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ten import settings
from ten.errors import SpecError
from ten.job import JobSpec, flatten
from ten.text.corpus import STDLIB
from ten.text.hub_corpus import hub_name
from ten.units import parse_bytes, parse_seconds

DATA = "/data"
"""The image's volume: packs, runs, cache."""
SYSTEM_GIGABYTES = 60
"""What an operating system, its drivers and the image take of a rented machine's disk."""
MEMLOCK, STACK = -1, 64 * 2**20
"""Limits that NCCL's buffers want."""
_ENGINES_OWN = ("image", "secrets", "resources.accelerators", "resources.shm_size", "resources.ordered")
"""Settings for whoever starts the container; inside it they mean nothing."""
PLAIN = (
    "SPACES_REGION", "SPACES_ENDPOINT", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
    "TEN_S3_ADDRESSING", "TEN_PATIENCE", "HF_ENDPOINT", "HF_HUB_OFFLINE",
)  # fmt: skip
"""Variables that say where services are; they go along where they are set."""


@dataclass(frozen=True)
class Container:
    """A job's container on some machine."""

    spec: JobSpec

    @property
    def image(self) -> str:
        """The job's image, or the one that `make image` makes."""
        return self.spec.image or ("ten:cpu" if self.spec.resources.gpu is None else "ten:cuda")

    @property
    def gpus(self) -> int:
        """How many GPUs it is given."""
        return self.spec.resources.gpu[1] if self.spec.resources.gpu else 0

    @property
    def shm_bytes(self) -> int:
        """Size of /dev/shm."""
        return parse_bytes(self.spec.resources.shm_size)

    @property
    def disk_gigabytes(self) -> int | None:
        """Size of a machine's disk with what the job wants free on it; None where it does not say."""
        free = self.spec.resources.disk_free
        return None if free is None else math.ceil(parse_bytes(free) / 10**9) + SYSTEM_GIGABYTES

    @property
    def grace_s(self) -> int:
        """Seconds from SIGTERM to SIGKILL."""
        return round(parse_seconds(self.spec.limits.stop_grace))

    @cached_property
    def folder(self) -> Path | None:
        """The store's folder on this machine; None for an object store."""
        return None if "://" in self.spec.store else Path(self.spec.store).expanduser().absolute()

    @cached_property
    def read_folders(self) -> tuple[Path, ...]:
        """Folders of this machine with text or a tokenizer that the job reads."""
        files = [Path(path).expanduser().absolute() for path in (self._local_dataset, self._local_tokenizer) if path]
        return tuple(dict.fromkeys(_fixed_part(path) for path in files))

    @property
    def command(self) -> list[str]:
        """The verb and every setting that is not its default."""
        given = flatten(msgspec.to_builtins(self.spec))
        usual = flatten(msgspec.to_builtins(JobSpec()))
        given["store"] = self.spec.store if self.folder is None else DATA
        given["data.cache_dir"] = None
        for field, path in (("data.dataset", self._local_dataset), ("data.tokenizer", self._local_tokenizer)):
            if path:
                given[field] = str(Path(path).expanduser().absolute())
        words = ["pack" if self.spec.mode == "pack" else "train"]
        for field, value in given.items():
            if field not in _ENGINES_OWN and (value != usual[field] or field == "store"):
                words += ["--set", f"{field}={_text(value)}"]
        return words

    @property
    def secrets(self) -> list[str]:
        """Names of variables whose values are the caller's own."""
        return list(self.spec.secrets)

    @property
    def plain(self) -> dict[str, str]:
        """Further variables as they are set here; one that could hold a password is none of them."""
        here = {name: os.environ[name] for name in PLAIN if os.environ.get(name) and name not in self.spec.secrets}
        return {name: value for name, value in here.items() if "@" not in value}

    def require_portable(self, engine: str) -> None:
        """Raise SpecError where the job needs what only this machine has."""
        if "/" not in self.image:
            raise SpecError(
                f"image {self.image}: is on this machine alone; push it to a registry and say where: "
                "--set image=REGISTRY/NAME:TAG"
            )
        if self.folder is not None:
            raise SpecError(
                f"store {self.spec.store}: {engine} throws its machine's disk away with the machine; name an object "
                "store: --store s3://bucket/prefix"
            )
        if self.read_folders and self.spec.mode != "pretok":
            raise SpecError(
                f"{self.read_folders[0]}: is on this machine alone; pack here (`ten pack`, over the same store), then "
                "render with --pretokenized"
            )

    @property
    def _local_dataset(self) -> str | None:
        dataset = self.spec.data.dataset
        return None if dataset == STDLIB or hub_name(dataset) is not None else dataset

    @property
    def _local_tokenizer(self) -> str | None:
        tokenizer = self.spec.data.tokenizer
        return tokenizer if tokenizer.endswith(".json") else None


def _fixed_part(path: Path) -> Path:
    """The folder above a path's first pattern, or the file or folder itself."""
    fixed = next((parent for parent in reversed([path, *path.parents]) if set(parent.name) & set("*?[")), None)
    return path if fixed is None else fixed.parent


def _text(value: Any) -> str:
    """A value that `--set` reads back as it is."""
    if isinstance(value, str) and settings.parse_value(value) == value:
        return value
    return json.dumps(value)
