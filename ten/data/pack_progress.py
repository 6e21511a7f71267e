"""Pack progress: how far packing is, in shards and bytes of text, for whoever waits for it."""

import logging
import time

import msgspec

from ten.data.packing import Work
from ten.data.published import Packing
from ten.data.recipe import Recipe
from ten.text.units import text_bytes
from ten.units import counted, format_bytes, format_seconds

log = logging.getLogger(__name__)


class PackProgress:
    """Counts of one attempt; threads that pack report their work, one thread counts the shards."""

    def __init__(self, recipe: Recipe, missing: list[int]) -> None:
        self.packed = 0
        """Shards made in this attempt."""
        self._recipe = recipe
        self._there = len(recipe.units) - len(missing)
        self._expected = sum(_text_bytes(recipe, unit) for unit in missing)
        self._works: list[Work] = []
        self._begun = time.monotonic()

    @property
    def shards(self) -> str:
        """How many shards are there, of how many."""
        return f"{self._there} of {counted(len(self._recipe.units), 'shard')}"

    def announce(self) -> None:
        """Log what is going to be packed."""
        corpus, units = self._recipe.corpus, len(self._recipe.units)
        log.info(
            "packing %s: %s, %s; %s to make, %d already there",
            corpus.dataset, counted(len(corpus.files), "file"), format_bytes(corpus.bytes),
            counted(units - self._there, "shard"), self._there,
        )  # fmt: skip

    def start(self, work: Work) -> None:
        """A unit is being packed."""
        self._works.append(work)

    def finish(self) -> None:
        """One more shard is there."""
        self._there += 1
        self.packed += 1

    def lose(self, shards: int) -> None:
        """So many shards are gone and must be made again."""
        self._there -= shards

    def account(self, packing: Packing) -> Packing:
        """What the pack has cost, with this attempt's part."""
        text = sum(work.text_bytes for work in self._works)
        seconds = time.monotonic() - self._begun
        return msgspec.structs.replace(
            packing, text_bytes=packing.text_bytes + text, seconds=round(packing.seconds + seconds, 3)
        )

    def tell(self) -> None:
        """Log shards, text so far, its rate and the time left."""
        text = sum(work.text_bytes for work in self._works)
        elapsed = time.monotonic() - self._begun
        if not text:
            log.info("pack: %s, no text has come for %s", self.shards, format_seconds(elapsed))
            return
        done = self._share(text)
        log.info(
            "pack: %s, %s of text so far, %s/s, about %s left",
            self.shards, format_bytes(text), format_bytes(round(text / elapsed)),
            format_seconds(elapsed * (1 - done) / done),
        )  # fmt: skip

    def _share(self, text: int) -> float:
        """The part of this attempt's work that is done: by shards, or by the estimated text before the first."""
        if self.packed:
            return self.packed / (self.packed + len(self._recipe.units) - self._there)
        return min(0.99, text / max(1.0, self._expected))


def _text_bytes(recipe: Recipe, unit: int) -> float:
    """Estimated bytes of text in a unit."""
    files = recipe.corpus.files
    return sum(text_bytes(files[part.file]) / part.parts for part in recipe.units[unit].parts)
