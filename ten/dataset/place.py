"""Place: where a job's packs, runs and what can be made again lie, and who of this machine's processes makes it."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ten.job import JobSpec
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.train.ranks import number

DEFAULT_CACHE = "~/.cache/ten"
"""The folder in front of a store that is no folder."""


@dataclass(frozen=True)
class Place:
    """A job's store and the folder in front of it."""

    spec: JobSpec

    @cached_property
    def store(self) -> Store:
        """Where packs and runs are kept."""
        return open_store(self.spec.store)

    @property
    def is_remote(self) -> bool:
        """Whether the store is no folder, so that machines with different files on them share it."""
        return self.store.root is None

    @property
    def cache_dir(self) -> Path:
        """Folder for what can be made again: trained tokenizers, and shards in front of a store that is no folder."""
        named = self.spec.data.cache_dir or os.environ.get("TEN_CACHE_DIR")
        if named:
            return Path(named).expanduser()
        return self.store.local_path("cache") or Path(DEFAULT_CACHE).expanduser()

    @property
    def shard_folder(self) -> Path | None:
        """The folder for shards, where it is not the store itself."""
        is_own = self.spec.data.cache_dir is None and not self.is_remote
        return None if is_own else self.cache_dir

    @property
    def leads(self) -> bool:
        """Whether this process does for its machine what need be done only once."""
        return number("LOCAL_RANK", 0) == 0
