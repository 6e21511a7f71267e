"""Reading: a corpus as a job reads it: tokenizer, units, recipe, and what the store has of the pack."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ten.calls.patience import read_patience
from ten.data.manifest import Manifest
from ten.data.published import Packing, PublishedPack
from ten.data.recipe import Recipe, make_recipe, subset_units
from ten.data.split import WHOLE
from ten.dataset.place import Place
from ten.errors import DataError, ServiceUnavailable
from ten.job import JobSpec, pack_command
from ten.text.bpe import kept_tokenizer, publish_tokenizer, trained_tokenizer
from ten.text.corpus import STDLIB, Corpus
from ten.text.elsewhere import ListingRequest, publish_listing
from ten.text.hub_tokenizer import is_hub_name, keep_in_store, take_from_store
from ten.text.pins import pinned_units
from ten.text.tokens import DEFAULT_TRAINED_VOCABULARY, Tokenizer, load_tokenizer, trained_vocabulary
from ten.text.units import Unit

log = logging.getLogger(__name__)

_COUNT_PATIENCE_S = 3600.0
"""Shortest time that a rank waits for the one that counts a subset's records, which may read much of the dataset."""


@dataclass(frozen=True)
class Reading:
    """A corpus with the settings that decide its pack, each part made when first asked for."""

    spec: JobSpec
    place: Place
    corpus: Corpus
    given_tokenizer: Tokenizer | None = None
    only_scored: bool = False
    """Whether all of the dataset is held-out text, or what it holds out itself where it does."""

    @property
    def must_train_tokenizer(self) -> bool:
        """Whether the tokenizer is to be trained, was not by this job, and neither cache nor store has it."""
        if self._vocabulary is None or self.given_tokenizer is not None or "tokenizer" in vars(self):
            return False
        return self._kept_tokenizer is None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, trained on the corpus where the job says so."""
        if self.given_tokenizer is not None:
            return self.given_tokenizer
        data, cache_dir = self.spec.data, self.place.cache_dir
        if self._vocabulary is None:
            if self._shares_hub_tokenizer:
                take_from_store(data.tokenizer, cache_dir, self.place.store)
            return load_tokenizer(tokenizer_name(self.spec), data.end_of_document, cache_dir)
        if self._kept_tokenizer is not None:
            return self._kept_tokenizer
        log.info("training a byte-level BPE of %d entries on %s", self._vocabulary, self.corpus.dataset)
        return trained_tokenizer(
            self.corpus, self._vocabulary, cache_dir, data.invalid_text, data.end_of_document, self.place.store
        )

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

    @cached_property
    def pack(self) -> PublishedPack:
        """The pack as the store has it."""
        return PublishedPack(self.place.store, self.recipe)

    @cached_property
    def manifest(self) -> Manifest | None:
        """The finished pack's manifest as it was found first; `finished` tells of one made since.

        Raises DataError for one that is damaged or another's.
        """
        return self.pack.manifest()

    @cached_property
    def packing(self) -> Packing | None:
        """What whoever packs says of it, as it was found first."""
        return self.pack.packing()

    @property
    def is_packed(self) -> bool:
        """Whether the pack is finished; not while its tokenizer is still to be trained."""
        try:
            return not self.must_train_tokenizer and self.manifest is not None
        except DataError:  # whoever reads the pack says so
            return False

    @property
    def is_begun(self) -> bool:
        """Whether the pack is finished, or somebody has begun to make it."""
        if self.must_train_tokenizer:
            return False
        try:
            return self.manifest is not None or self.packing is not None
        except DataError:  # whoever reads the pack says so
            return True

    def begin(self) -> None:
        """Let machines that have not these files find the pack that is going to be made of them."""
        place = self.place
        if place.is_remote and self.given_tokenizer is None and self._vocabulary is not None:
            publish_tokenizer(self.corpus, self._vocabulary, place.cache_dir, place.store)
        if self._shares_hub_tokenizer:
            keep_in_store(self.spec.data.tokenizer, place.cache_dir, place.store)
        self._publish(replace=False)

    def finish(self, manifest: Manifest) -> None:
        """Remember that the pack is finished, and let the other machines read this one from now on."""
        self.__dict__["manifest"] = manifest  # the place of a cached property
        self._publish(replace=True)

    def explained(self, said: str) -> str:
        """What is said of the hub's absence, with the way to do without where packs suggest that it was meant."""
        store = self.place.store
        names = (name for name in store.children("packs") if name.startswith(f"{self.corpus.slug}-"))
        others = ", ".join(name for name in names if store.stat(f"packs/{name}/manifest.json") is not None)
        if not others:
            return said
        return (
            f"{said}; this job reads another pack than those in the store ({others}): where there is network make it "
            f"with `{pack_command(self.spec)}`"
        )

    @property
    def _shares_hub_tokenizer(self) -> bool:
        """Whether the tokenizer is a hub's, at a commit that all machines over the store must agree on."""
        name = self.spec.data.tokenizer
        return self.place.is_remote and self.given_tokenizer is None and is_hub_name(name) and not Path(name).exists()

    @cached_property
    def _vocabulary(self) -> int | None:
        return trained_vocabulary(tokenizer_name(self.spec))

    @cached_property
    def _kept_tokenizer(self) -> Tokenizer | None:
        """The tokenizer that was trained before."""
        assert self._vocabulary is not None, "only trained tokenizers are kept"
        eod = self.spec.data.end_of_document
        return kept_tokenizer(self.corpus, self._vocabulary, self.place.cache_dir, eod, self.place.store)

    def _publish(self, *, replace: bool) -> None:
        corpus = self.corpus
        is_here = not corpus.is_pinned and not any(file.is_elsewhere for file in corpus.files)
        if is_here and (self.place.is_remote or replace):  # a folder may be mounted elsewhere, once the pack is there
            publish_listing(self.place.store, listing_request(self.spec), corpus, replace=replace)

    def _subset(self) -> tuple[Unit, ...] | None:
        """The units of data.subset_size records; None for all."""
        records, corpus = self.spec.data.subset_size, self.corpus
        if records is None:
            return None

        def counted() -> tuple[Unit, ...]:
            try:
                return subset_units(corpus, records)
            except ServiceUnavailable as error:
                raise ServiceUnavailable(self.explained(str(error))) from None

        patience_s = max(_COUNT_PATIENCE_S, 2 * read_patience().total_s)
        leads = self.place.leads
        return pinned_units(self.place.store, corpus, records, counted, leads=leads, patience_s=patience_s)


def tokenizer_name(spec: JobSpec) -> str:
    """The tokenizer's name with `auto` resolved."""
    if spec.data.tokenizer != "auto":
        return spec.data.tokenizer
    return f"bpe:{DEFAULT_TRAINED_VOCABULARY}" if spec.data.dataset == STDLIB else "gpt2"


def listing_request(spec: JobSpec) -> ListingRequest:
    """What a job asks for when its dataset is no hub's."""
    return ListingRequest(dataset=spec.data.dataset, text_column=spec.data.text_column)
