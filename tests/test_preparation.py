"""What a job comes to on this machine."""

from pathlib import Path

import pytest

from ten.data.cache import ShardCache
from ten.errors import SpecError
from ten.feeding import pack, pack_command
from ten.job import load_job
from ten.preparation import Preparation, restored_job


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """One short document."""
    path = tmp_path / "Some Text.txt"
    path.write_text("some text " * 50)
    return path


def _job(text: Path, *sets: str) -> Preparation:
    return Preparation(load_job(None, {"data.dataset": str(text), "store": str(text.parent / "store")}, sets))


def test_a_run_is_called_by_name_dataset_and_config(text: Path) -> None:
    assert _job(text, "name=first").run_id == "first-some-text-nano"
    assert _job(text, "run=mine").run_id == "mine"


def test_the_tokenizer_depends_on_the_dataset_when_it_is_left_open(text: Path) -> None:
    assert _job(text).tokenizer_name == "gpt2"
    assert Preparation(load_job(None, {}, [])).tokenizer_name == "bpe:4096"


def test_a_row_is_as_long_as_the_preset_says_unless_the_job_does(text: Path) -> None:
    assert _job(text, "model.config=large").seq_len == 32768
    assert _job(text, "model.config=large", "data.seq_len=64").seq_len == 64


def test_shards_lie_in_the_store_and_with_a_cache_folder_in_both(text: Path, tmp_path: Path) -> None:
    plain, cached = _job(text), _job(text, f"data.cache_dir={tmp_path / 'cache'}")
    pack(plain)
    assert len(list(tmp_path.glob("store/packs/*/shards/*"))) == 1
    cache: ShardCache = cached.open_cache()
    assert cache.find(0) is not None
    assert len(list(tmp_path.glob("cache/packs/*/shards/*"))) == 1


def test_a_trained_tokenizer_is_kept_in_the_cache_folder(text: Path, tmp_path: Path) -> None:
    job = _job(text, "data.tokenizer=bpe:300", f"data.cache_dir={tmp_path / 'cache'}")
    assert job.must_train_tokenizer
    assert job.tokenizer.vocabulary <= 300
    assert not _job(text, "data.tokenizer=bpe:300", f"data.cache_dir={tmp_path / 'cache'}").must_train_tokenizer


def test_length_goes_by_steps_then_tokens_then_epochs(text: Path) -> None:
    assert _job(text, "train.steps=3", "train.tokens=1M").total_tokens(10) == 30
    assert _job(text, "train.tokens=1M").total_tokens(10) == 10**6
    job = _job(text, "train.epochs=2.5")
    assert job.total_tokens(10) == round(2.5 * job.epoch_tokens)


def test_a_resolved_spec_makes_the_same_job(text: Path) -> None:
    job = _job(text, "train.steps=3", "model.layers=2", "data.subset_size=1")
    again = Preparation(restored_job(job.resolved_spec()))
    assert again.resolved_spec() == job.resolved_spec()


def test_the_command_that_packs_says_all_that_decides_the_pack(text: Path) -> None:
    command = pack_command(_job(text, "data.subset_size=1", "data.seed=5"))
    assert f"--set data.dataset='{text}'" in command
    assert "--set data.subset_size=1" in command
    assert "seed" not in command


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(SpecError, match="ftp"):
        _ = Preparation(load_job(None, {"store": "ftp://host/x"}, [])).store
