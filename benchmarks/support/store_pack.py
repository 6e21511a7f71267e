"""A pack of random tokens in an object store, as `ten pack` leaves one of files that no other machine has."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.support.store_tokens import SEQ_LEN, shard_tokens
from ten.data.cache import ShardCache
from ten.data.manifest import Manifest, make_manifest
from ten.data.recipe import Recipe
from ten.data.settings import DataSettings
from ten.data.shards import ShardHeader, encode_shard
from ten.dataset.place import Place
from ten.dataset.reading import Reading
from ten.job import JobSpec
from ten.model.presets import ModelSettings
from ten.text.corpus import Corpus, SourceFile

DATASET = "benchmark-tokens"
_FILE_BYTES = 63 * 2**20
"""Of text: large enough for each file to be a unit of its own, and all to be a corpus that sets no unit apart."""
_DOCUMENT_TOKENS = 1000


def pack_job(store: str) -> JobSpec:
    """The job that reads the pack."""
    data = DataSettings(dataset=DATASET, seq_len=SEQ_LEN)
    return JobSpec(mode="pretok", store=store, data=data, model=ModelSettings(config="nano"))


def publish_pack(store: str, folder: Path, shards: int, count: int) -> tuple[Manifest, str]:
    """Make a pack of shards of `count` tokens in a store by way of a folder; its manifest, and where its shards lie."""
    spec = pack_job(store)
    files = tuple(
        SourceFile(name=f"{shard:05d}.txt", path=f"/nowhere/{shard:05d}.txt", bytes=_FILE_BYTES, probe=f"{shard:064d}")
        for shard in range(shards)
    )
    corpus = Corpus(dataset=DATASET, slug=DATASET, revision="local", files=files)
    reading = Reading(spec, Place(spec), corpus)
    cache = ShardCache(reading.place.store, reading.recipe, folder)
    entries = [cache.add(shard, _encode(reading.recipe, shard, count)) for shard in range(shards)]
    assert cache.uploads is not None
    cache.uploads.drain()
    manifest = make_manifest(reading.recipe, entries, shards * count, cache.pack.write_page)
    cache.pack.publish(manifest)
    reading.finish(manifest)
    prefix = store.removeprefix("s3://").partition("/")[2]
    return manifest, f"{prefix}/{cache.pack.key(0).rpartition('/')[0]}"


def _encode(recipe: Recipe, shard: int, count: int) -> bytes:
    ends = np.append(np.arange(_DOCUMENT_TOKENS, count, _DOCUMENT_TOKENS, dtype=np.uint64), np.uint64(count))
    nothing = np.empty(0, dtype=np.uint64)
    header = ShardHeader(
        fingerprint=recipe.fingerprint, tokenizer=recipe.tokenizer.fingerprint, unit=shard, dtype="U16", tokens=count,
        documents=len(ends), held_out_tokens=0, held_out_documents=0, skipped=0,
    )  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {
        "document_ends": ends,
        "held_out_ends": nothing,
        "held_out_bytes": nothing,
        "held_out_tokens": np.empty(0, dtype=np.uint16),
        "tokens": shard_tokens(shard, count),
    }
    return encode_shard(header, arrays)
