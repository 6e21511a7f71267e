"""Preparation: what a job comes to on this machine: store, corpus, tokenizer, recipe, model. No torch."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import msgspec

from ten import settings
from ten.calls.patience import read_patience
from ten.data.cache import ShardCache
from ten.data.estimate import epoch_tokens
from ten.data.recipe import Recipe, make_recipe, subset_units
from ten.data.split import WHOLE
from ten.errors import DataError, ServiceUnavailable
from ten.hub.address import is_hub
from ten.hub.endpoint import read_endpoint
from ten.job import JobSpec, pack_command
from ten.model.presets import ModelConfig, default_seq_len, resolve
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.text.bpe import trained_path, trained_tokenizer
from ten.text.corpus import STDLIB, Corpus
from ten.text.hub_corpus import HubName, hub_name, streaming_note
from ten.text.opening import open_corpus
from ten.text.pins import pinned_corpus, pinned_units
from ten.text.tokens import DEFAULT_TRAINED_VOCABULARY, Tokenizer, load_tokenizer, trained_vocabulary
from ten.text.units import Unit
from ten.train.ranks import number

log = logging.getLogger(__name__)

_PIN_PATIENCE_S = 120.0
"""Shortest time that a rank waits for the one that looks the dataset up; longer where that one may wait longer."""
_COUNT_PATIENCE_S = 3600.0
"""The same for the one that counts a subset's records, which may read much of the dataset."""


@dataclass(frozen=True)
class Preparation:
    """A job's parts, made when first asked for, so that a wrong setting is found before anything slow."""

    spec: JobSpec
    given_tokenizer: Tokenizer | None = None
    """A trained run's own tokenizer, where another dataset is read with it."""
    only_scored: bool = False
    """Whether all of the dataset is held-out text, or what it holds out itself where it does."""

    @cached_property
    def store(self) -> Store:
        """Where packs and runs are kept."""
        return open_store(self.spec.store)

    @cached_property
    def model(self) -> ModelConfig:
        """The complete model configuration."""
        return resolve(self.spec.model)

    @cached_property
    def seq_len(self) -> int:
        """Tokens the model sees in a row."""
        return self.spec.data.seq_len or default_seq_len(self.spec.model.config)

    @cached_property
    def corpus(self) -> Corpus:
        """The dataset's listing; that of a hub dataset is looked up once for all who share the store."""
        data, hub = self.spec.data, self._hub
        make = partial(
            open_corpus,
            data.dataset,
            data.text_column,
            self.store.root,
            revision=data.revision,
            split=data.split,
        )
        if hub is None:
            return make()
        corpus = pinned_corpus(
            self.store,
            hub.request(data.revision, data.split, data.text_column),
            hub.slug,
            make,
            run=self.run_id,
            leads=self._leads,
            patience_s=max(_PIN_PATIENCE_S, 2 * read_patience().total_s),
        )
        if self.only_scored and data.split is not None:  # that split, and not what is set apart beside it
            return corpus.without_held_out()
        return corpus

    @cached_property
    def _hub(self) -> HubName | None:
        """Where the dataset is at the hub, if it is there."""
        return hub_name(self.spec.data.dataset)

    @property
    def _leads(self) -> bool:
        """Whether this process does for its machine what need be done only once."""
        return number("LOCAL_RANK", 0) == 0

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's name with `auto` resolved."""
        if self.spec.data.tokenizer != "auto":
            return self.spec.data.tokenizer
        return f"bpe:{DEFAULT_TRAINED_VOCABULARY}" if self.spec.data.dataset == STDLIB else "gpt2"

    @property
    def must_train_tokenizer(self) -> bool:
        """Whether the tokenizer is to be trained and no cache has it."""
        size = trained_vocabulary(self.tokenizer_name)
        return size is not None and not trained_path(self.corpus, size, self.cache_dir).is_file()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, trained on the corpus where the job says so."""
        if self.given_tokenizer is not None:
            return self.given_tokenizer
        size = trained_vocabulary(self.tokenizer_name)
        if size is None:
            return load_tokenizer(self.tokenizer_name, self.spec.data.end_of_document, self.cache_dir)
        if self.must_train_tokenizer:
            log.info("training a byte-level BPE of %d entries on %s", size, self.corpus.dataset)
        data = self.spec.data
        return trained_tokenizer(self.corpus, size, self.cache_dir, data.invalid_text, data.end_of_document)

    @cached_property
    def recipe(self) -> Recipe:
        """What decides the shards."""
        data = self.spec.data
        return make_recipe(
            self.corpus,
            self.tokenizer,
            training=self._subset(),
            invalid_text=data.invalid_text,
            skip_bad=data.skip_bad,
            split=WHOLE if self.only_scored and not self.corpus.held_out_files else None,
        )

    def _subset(self) -> tuple[Unit, ...] | None:
        """The units of data.subset_size records; None for all."""
        records, corpus = self.spec.data.subset_size, self.corpus
        if records is None:
            return None
        count = partial(subset_units, corpus, records)
        if not corpus.is_pinned:
            return count()

        def counted() -> tuple[Unit, ...]:
            try:
                return count()
            except ServiceUnavailable as error:
                raise ServiceUnavailable(self._explained(str(error))) from None

        patience_s = max(_COUNT_PATIENCE_S, 2 * read_patience().total_s)
        return pinned_units(self.store, corpus, records, counted, leads=self._leads, patience_s=patience_s)

    def before_streaming(self, cache: ShardCache) -> None:
        """Say that much will be streamed, once, where it will be.

        Raises ServiceUnavailable where HF_HUB_OFFLINE forbids it and nothing of the pack is there to begin with.
        """
        recipe = cache.recipe
        if self.is_packed or not any(is_hub(file.path) for file in recipe.corpus.files):
            return
        if read_endpoint().offline and not any(cache.has(unit.index) for unit in recipe.units):
            said = f"{recipe.corpus.dataset}: {cache.address} is not packed, and HF_HUB_OFFLINE forbids asking the hub"
            raise ServiceUnavailable(self._explained(said))
        is_first = self.store.stat(f"runs/{self.run_id}/run.json") is None
        part = self.only_scored or self.spec.data.subset_size is not None
        if self._hub is not None and is_first and not part and (note := streaming_note(self._hub)) is not None:
            log.info("%s", note)

    def _explained(self, said: str) -> str:
        """What is said of the hub's absence, with the way to do without where packs suggest that it was meant."""
        prefix = f"packs/{self.corpus.slug}-"
        keys = (found.key.split("/") for found in self.store.list(prefix) if found.key.endswith("/manifest.json"))
        others = ", ".join(sorted({key[1] for key in keys}))
        if not others:
            return said
        return (
            f"{said}; this job reads another pack than those in the store ({others}): where there is network make it "
            f"with `{pack_command(self.spec)}`"
        )

    @property
    def cache_dir(self) -> Path:
        """Folder for what can be made again: trained tokenizers, and shards in front of a store that is no folder."""
        if self.spec.data.cache_dir is not None:
            return Path(self.spec.data.cache_dir).expanduser()
        return self.store.local_path("cache") or Path("~/.cache/ten").expanduser()

    @property
    def shard_folder(self) -> Path | None:
        """The folder for shards, where it is not the store itself."""
        is_own = self.spec.data.cache_dir is None and self.store.local_path("packs") is not None
        return None if is_own else self.cache_dir

    def open_cache(self, recipe: Recipe | None = None) -> ShardCache:
        """The pack's shards; `recipe` is the job's own with its files elsewhere."""
        return ShardCache(self.store, recipe or self.recipe, self.shard_folder)

    @property
    def is_packed(self) -> bool:
        """Whether the pack is finished."""
        return self.packed_epoch_tokens is not None

    @property
    def run_id(self) -> str:
        """The run's folder below `runs/`."""
        slug = self._hub.slug if self._hub is not None else self.corpus.slug
        return self.spec.run or f"{self.spec.name}-{slug}-{self.spec.model.config}"

    @cached_property
    def epoch_tokens(self) -> int:
        """Estimated training tokens in one epoch: as the finished pack says, else judged by a sample."""
        return self.packed_epoch_tokens or epoch_tokens(self.recipe)

    @property
    def packed_epoch_tokens(self) -> int | None:
        """The same as the finished pack says it; None without one."""
        try:
            manifest = self.open_cache().manifest()
        except DataError:  # whoever reads the pack says so
            return None
        return manifest.epoch_tokens if manifest else None

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


def restored_job(resolved: Mapping[str, Any]) -> JobSpec:
    """The job behind a run's resolved spec."""
    data = {field: value for field, value in resolved["data"].items() if field != "fingerprint"}
    return settings.convert({**resolved, "data": data}, JobSpec, "run.json")
