"""Preparation: what a job comes to on this machine: store, corpus, tokenizer, recipe, model. No torch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec

from ten import settings
from ten.data.cache import ShardCache
from ten.data.estimate import epoch_tokens
from ten.data.manifest import Manifest
from ten.data.recipe import Recipe
from ten.dataset.announcement import announce_streaming
from ten.dataset.choice import choose_reading, may_be_folder
from ten.dataset.place import Place
from ten.dataset.reading import Reading, tokenizer_name
from ten.errors import TenError
from ten.job import JobSpec
from ten.model.presets import ModelConfig, default_seq_len, resolve
from ten.store.protocol import Store
from ten.text.corpus import Corpus, local_slug
from ten.text.hub_corpus import HubName, hub_name
from ten.text.tokens import Tokenizer


@dataclass(frozen=True)
class Preparation:
    """A job's parts, made when first asked for, so that a wrong setting is found before anything slow."""

    spec: JobSpec
    given_tokenizer: Tokenizer | None = None
    """A trained run's own tokenizer, where another dataset is read with it."""
    only_scored: bool = False
    """Whether all of the dataset is held-out text, or what it holds out itself where it does."""

    @cached_property
    def place(self) -> Place:
        """Where everything lies."""
        return Place(self.spec)

    @property
    def store(self) -> Store:
        """Where packs and runs are kept."""
        return self.place.store

    @property
    def cache_dir(self) -> Path:
        """Folder for what can be made again (`Place.cache_dir`)."""
        return self.place.cache_dir

    @property
    def shard_folder(self) -> Path | None:
        """The folder for shards, where it is not the store itself."""
        return self.place.shard_folder

    @cached_property
    def model(self) -> ModelConfig:
        """The complete model configuration."""
        return resolve(self.spec.model)

    @cached_property
    def seq_len(self) -> int:
        """Tokens the model sees in a row."""
        return self.spec.data.seq_len or default_seq_len(self.spec.model.config)

    @cached_property
    def reading(self) -> Reading:
        """The dataset's corpus as the job reads it."""
        run = self._run_id(self._slug)
        return choose_reading(self.spec, self.place, self._hub, run, self._read)

    @property
    def corpus(self) -> Corpus:
        """The dataset's listing."""
        return self.reading.corpus

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's name with `auto` resolved."""
        return tokenizer_name(self.spec)

    @property
    def must_train_tokenizer(self) -> bool:
        """Whether the tokenizer is to be trained and was not before."""
        return self.reading.must_train_tokenizer

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, trained on the corpus where the job says so."""
        return self.reading.tokenizer

    @property
    def recipe(self) -> Recipe:
        """What decides the shards."""
        return self.reading.recipe

    def open_cache(self, recipe: Recipe | None = None) -> ShardCache:
        """The pack's shards; `recipe` is the job's own with its files elsewhere."""
        return ShardCache(self.store, recipe or self.recipe, self.shard_folder)

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Find out what is read while the block asks the store for other things: each answer takes a round trip.

        Over a folder nothing happens. What fails is left to fail again where it is asked for.
        """
        if not self.place.is_remote:
            yield
            return
        thread = Thread(target=self._settle, name="settle", daemon=True)
        thread.start()
        yield
        thread.join()

    def _settle(self) -> None:
        with suppress(TenError):
            _ = self.is_packed

    def before_packing(self) -> None:
        """Let machines that have not the job's files find the pack, where they share the store."""
        self.reading.begin()

    def after_packing(self, manifest: Manifest) -> None:
        """Remember that the pack is finished, and let those machines read this one from now on."""
        self.reading.finish(manifest)

    def before_streaming(self, cache: ShardCache) -> None:
        """Say that much will be streamed, once, where it will be; raises ServiceUnavailable where it cannot."""
        announce_streaming(self.reading, self._hub, self.run_id, cache)

    @property
    def run_id(self) -> str:
        """The run's folder below `runs/`."""
        if self._hub is not None and self.place.is_remote and may_be_folder(self._hub, self.spec.data):
            return self._run_id(self.corpus.slug)
        return self._run_id(self._slug)

    @property
    def manifest(self) -> Manifest | None:
        """The finished pack's manifest, read once; None where the pack was not finished then.

        Raises DataError for a damaged one.
        """
        return self.reading.manifest

    @property
    def is_packed(self) -> bool:
        """Whether the pack is finished."""
        return self.reading.is_packed

    @cached_property
    def epoch_tokens(self) -> int:
        """Estimated training tokens in one epoch: as the pack says, else judged by a sample."""
        return self.packed_epoch_tokens or epoch_tokens(self.recipe)

    @property
    def packed_epoch_tokens(self) -> int | None:
        """The same as the finished pack says it, or in mode pretok whoever packs; None where neither is there."""
        if self.is_packed and (manifest := self.manifest) is not None:
            return manifest.epoch_tokens
        packing = self.reading.packing if self.spec.mode == "pretok" else None
        return packing.epoch_tokens if packing is not None else None

    @property
    def counts_epochs(self) -> bool:
        """Whether the run's length is given in epochs, so that the tokens of one must be known."""
        return self.spec.train.steps is None and self.spec.train.tokens is None

    def resolved_spec(self) -> dict[str, Any]:
        """The job with nothing left to defaults, as runs and checkpoints keep it."""
        tree: dict[str, Any] = msgspec.to_builtins(self.spec)
        tree["model"] = {"config": self.spec.model.config, **msgspec.to_builtins(self.model)}
        tree["data"] |= {"seq_len": self.seq_len, "tokenizer": self.tokenizer_name}
        if self.corpus.is_pinned:
            tree["data"]["revision"] = self.corpus.revision
        tree["data"]["fingerprint"] = self.recipe.fingerprint
        return tree

    @cached_property
    def _hub(self) -> HubName | None:
        """Where the dataset is at the hub, if it is there."""
        return hub_name(self.spec.data.dataset)

    @property
    def _slug(self) -> str:
        return self._hub.slug if self._hub is not None else local_slug(self.spec.data.dataset)

    def _run_id(self, slug: str) -> str:
        return self.spec.run or f"{self.spec.name}-{slug}-{self.spec.model.config}"

    def _read(self, corpus: Corpus) -> Reading:
        if self.only_scored and corpus.is_pinned and self.spec.data.split is not None:
            corpus = corpus.without_held_out()  # that split, and not what is set apart beside it
        return Reading(self.spec, self.place, corpus, self.given_tokenizer, self.only_scored)


def restored_job(resolved: Mapping[str, Any]) -> JobSpec:
    """The job behind a run's resolved spec."""
    data = {field: value for field, value in resolved["data"].items() if field != "fingerprint"}
    return settings.convert({**resolved, "data": data}, JobSpec, "run.json")
