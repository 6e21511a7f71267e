"""Announcement: what is said, once for a run, before much of a hub dataset is streamed; or that it cannot be."""

import logging

from ten.data.cache import ShardCache
from ten.dataset.reading import Reading
from ten.errors import ServiceUnavailable
from ten.hub.address import is_hub
from ten.hub.endpoint import read_endpoint
from ten.text.hub_corpus import HubName, streaming_note

log = logging.getLogger(__name__)


def announce_streaming(reading: Reading, hub: HubName | None, run: str, cache: ShardCache) -> None:
    """Say that much will be streamed where it will be and the run `run` has not begun yet.

    Raises ServiceUnavailable where HF_HUB_OFFLINE forbids it and nothing of the pack is there to begin with.
    """
    corpus = cache.recipe.corpus
    if not any(is_hub(file.path) for file in corpus.files) or reading.is_packed:
        return
    if read_endpoint().offline and not (cache.present() or cache.has(0)):  # a store is sent what is read first, first
        said = f"{corpus.dataset}: {cache.address} is not packed, and HF_HUB_OFFLINE forbids asking the hub"
        raise ServiceUnavailable(reading.explained(said))
    part = reading.only_scored or reading.spec.data.subset_size is not None
    if hub is None or part or (note := streaming_note(hub)) is None:
        return
    if reading.place.store.stat(f"runs/{run}/run.json") is None:
        log.info("%s", note)
