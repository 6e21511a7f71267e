"""What a job reads of a corpus, and what it leaves for machines that have not its files."""

from collections.abc import Callable

import pytest

from ten.errors import DataError
from tests.data.small import CountingStore
from tests.dataset.conftest import TALES, Machine

Machines = Callable[[str], Machine]


def test_a_trained_tokenizer_is_trained_once_for_all_machines(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, same = machine("a"), machine("b")
    first.write(40)
    same.write(40)
    tokenizer = first.settle(mode="streaming").tokenizer
    monkeypatch.setattr("ten.text.bpe.train_bpe", None)
    job = same.job(mode="streaming", dataset=str(same.folder / TALES))
    assert not job.must_train_tokenizer and job.tokenizer == tokenizer


def test_a_tokenizer_of_an_earlier_store_comes_with_the_pack(
    machine: Machines, shared: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machine("a")
    first.write(40)
    first.settle(mode="streaming")
    (key,) = (found.key for found in shared.list("tokenizers/"))
    shared.delete(key)
    packed = first.pack()
    assert machine("b").settle().tokenizer == packed.tokenizer


def test_a_damaged_manifest_counts_as_begun_and_is_named(machine: Machines, shared: CountingStore) -> None:
    first, other = machine("a"), machine("b")
    first.write(40)
    other.write(41)
    other.pack()
    first.pack()
    job = other.settle()
    manifest = f"packs/{job.recipe.pack_name}/manifest.json"
    shared.write(manifest, b"{")
    again = other.settle()
    assert again.recipe.fingerprint == job.recipe.fingerprint and again.reading.is_begun
    assert not again.is_packed
    with pytest.raises(DataError, match=r"manifest\.json"):
        _ = again.manifest


def test_other_packs_of_a_dataset_are_named_without_a_list_of_their_shards(
    machine: Machines, shared: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    packer = machine("a")
    packer.write(40)
    name = packer.pack().recipe.pack_name
    shared.write("packs/tales-unfinished/shards/00000.safetensors", b"")
    monkeypatch.setattr(shared, "list", None)
    said = packer.settle().reading.explained("no hub")
    assert said.startswith(f"no hub; this job reads another pack than those in the store ({name}): ")
