"""Preparation: what a job comes to on this machine: store, corpus, tokenizer, recipe, model. No torch."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ten import settings
from ten.data.bpe import trained_path, trained_tokenizer
from ten.data.cache import ShardCache
from ten.data.corpus import STDLIB, Corpus
from ten.data.estimate import epoch_tokens
from ten.data.recipe import Recipe, make_recipe, open_corpus
from ten.data.split import WHOLE
from ten.data.tokens import DEFAULT_TRAINED_VOCABULARY, Tokenizer, load_tokenizer, trained_vocabulary
from ten.job import JobSpec
from ten.model.presets import ModelConfig, default_seq_len, resolve
from ten.store.opening import open_store
from ten.store.protocol import Store
from ten.train.length import run_tokens

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparation:
    """A job's parts, made when first asked for, so that a wrong setting is found before anything slow."""

    spec: JobSpec
    given_tokenizer: Tokenizer | None = None
    """A trained run's own tokenizer, where another dataset is read with it."""
    only_scored: bool = False
    """Whether all of the dataset is held-out text."""

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
        """The dataset's listing."""
        return open_corpus(self.spec.data.dataset, self.spec.data.text_column, self.store.root)

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
            return load_tokenizer(self.tokenizer_name, self.spec.data.end_of_document)
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
            subset_size=data.subset_size,
            invalid_text=data.invalid_text,
            split=WHOLE if self.only_scored else None,
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

    def open_cache(self) -> ShardCache:
        """The pack's shards."""
        return ShardCache(self.store, self.recipe, self.shard_folder)

    @property
    def run_id(self) -> str:
        """The run's folder below `runs/`."""
        return self.spec.run or f"{self.spec.name}-{self.corpus.slug}-{self.spec.model.config}"

    @cached_property
    def epoch_tokens(self) -> int:
        """Estimated training tokens in one epoch."""
        return epoch_tokens(self.recipe)

    def total_tokens(self, step_tokens: int) -> int:
        """Tokens of the whole run, where an optimizer step takes `step_tokens`."""
        train = self.spec.train
        by_epochs = train.steps is None and train.tokens is None
        return run_tokens(train, step_tokens=step_tokens, epoch_tokens=self.epoch_tokens if by_epochs else None)

    def resolved_spec(self) -> dict[str, Any]:
        """The job with nothing left to defaults, as runs and checkpoints keep it."""
        tree: dict[str, Any] = msgspec.to_builtins(self.spec)
        tree["model"] = {"config": self.spec.model.config, **msgspec.to_builtins(self.model)}
        tree["data"] |= {"seq_len": self.seq_len, "tokenizer": self.tokenizer_name}
        tree["data"]["fingerprint"] = self.recipe.fingerprint
        return tree


def restored_job(resolved: Mapping[str, Any]) -> JobSpec:
    """The job behind a run's resolved spec."""
    data = {field: value for field, value in resolved["data"].items() if field != "fingerprint"}
    return settings.convert({**resolved, "data": data}, JobSpec, "run.json")
