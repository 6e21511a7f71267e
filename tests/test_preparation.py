"""What a job comes to on this machine."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.calls.patience import Patience
from ten.data.cache import ShardCache
from ten.data.split import WHOLE
from ten.errors import ServiceUnavailable, SpecError
from ten.feeding import pack
from ten.hub import transport as transport_module
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.job import load_job
from ten.preparation import Preparation, restored_job
from ten.text.pins import keep_corpus
from tests.standins import hub_corpora
from tests.standins.hub import Hub


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


def test_an_epoch_is_as_long_before_packing_as_after(text: Path) -> None:
    before = _job(text)
    assert before.packed_epoch_tokens is None
    estimate = before.epoch_tokens
    pack(_job(text))
    after = _job(text)
    assert after.packed_epoch_tokens == after.epoch_tokens == estimate


def test_a_resolved_spec_makes_the_same_job(text: Path) -> None:
    job = _job(text, "train.steps=3", "model.layers=2", "data.subset_size=1")
    again = Preparation(restored_job(job.resolved_spec()))
    assert again.resolved_spec() == job.resolved_spec()


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(SpecError, match="ftp"):
        _ = Preparation(load_job(None, {"store": "ftp://host/x"}, [])).store


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this process's own with three datasets."""
    hub_corpora.fineweb_edu(tmp_path / "hub", files=1, groups=1, rows=20)
    hub_corpora.wikitext(tmp_path / "hub", rows=20)
    hub_corpora.jsonl_gz(tmp_path / "hub")
    with Hub(tmp_path / "hub") as running:
        opened = Transport(Endpoint(url=running.endpoint), Patience(connect_s=2, silence_s=2, total_s=5))
        monkeypatch.setattr(transport_module, "_shared", (os.getpid(), opened))
        yield running
        opened.close()


def _hub_job(tmp_path: Path, *sets: str, dataset: str = "finewebedu") -> Preparation:
    return Preparation(load_job(None, {"data.dataset": dataset, "store": str(tmp_path / "store")}, sets))


def test_a_hub_dataset_stays_at_its_commit_for_every_later_job(hub: Hub, tmp_path: Path) -> None:
    first = _hub_job(tmp_path).corpus
    hub.commit("HuggingFaceFW/fineweb-edu", {"sample/10BT/001_00000.parquet": b"new"})
    hub.forget()
    assert _hub_job(tmp_path, "name=other").corpus == first
    assert hub.log() == []
    (pin,) = (tmp_path / "store" / "pins").iterdir()
    pin.unlink()
    assert len(_hub_job(tmp_path).corpus.files) == 2


def test_a_run_of_a_hub_dataset_is_called_without_asking_the_hub(hub: Hub, tmp_path: Path) -> None:
    assert _hub_job(tmp_path).run_id == "run-finewebedu-nano"
    assert _hub_job(tmp_path, dataset="ns/My_Repo:en").run_id == "run-ns-my-repo-en-nano"
    assert hub.log() == []


def test_a_run_keeps_the_commit_it_began_with(hub: Hub, tmp_path: Path) -> None:
    job = _hub_job(tmp_path)
    resolved = job.resolved_spec()
    assert resolved["data"]["revision"] == job.corpus.revision
    keep_corpus(tmp_path / "store" / "runs" / job.run_id, job.corpus)
    hub.commit("HuggingFaceFW/fineweb-edu", {"sample/10BT/001_00000.parquet": b"new"})
    for pin in (tmp_path / "store" / "pins").iterdir():
        pin.unlink()
    hub.forget()
    again = Preparation(restored_job(resolved))
    assert again.corpus == _hub_job(tmp_path).corpus == job.corpus
    assert again.resolved_spec() == resolved
    assert hub.log() == []


def test_a_rank_that_does_not_lead_its_machine_asks_nothing(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ten.dataset.choice._PIN_PATIENCE_S", 0.2)
    monkeypatch.setenv("TEN_PATIENCE", "0.1s")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ServiceUnavailable, match="first rank"):
        _ = _hub_job(tmp_path).corpus
    assert hub.log() == []
    monkeypatch.setenv("LOCAL_RANK", "0")
    led = _hub_job(tmp_path).corpus
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert _hub_job(tmp_path).corpus == led


def test_a_large_dataset_says_that_it_streams_when_it_does(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for job in (
            _hub_job(tmp_path, dataset="wikitext-103"),
            _hub_job(tmp_path, "data.subset_size=5"),
            Preparation(_hub_job(tmp_path).spec, only_scored=True),
        ):
            job.before_streaming(job.open_cache())
        job = _hub_job(tmp_path)
        _ = job.recipe
        folder = tmp_path / "store" / "runs" / job.run_id
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
        job.before_streaming(job.open_cache())
        (folder / "run.json").unlink()
        assert "streams" not in caplog.text
        job.before_streaming(job.open_cache())
    assert "finewebedu streams from HuggingFaceFW/fineweb-edu while it is read (about 28.5 GB in all)" in caplog.text


def test_offline_a_job_of_another_pack_names_those_there_are_and_the_way(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _hub_job(tmp_path, dataset="standin/jsonl")
    pack(made)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    opened = Transport(Endpoint(url=hub.endpoint, offline=True), Patience())
    monkeypatch.setattr(transport_module, "_shared", (os.getpid(), opened))
    made.before_streaming(made.open_cache())
    names = rf"another pack than those in the store \({made.recipe.pack_name}\)"
    with pytest.raises(ServiceUnavailable, match=rf"OFFLINE.*{names}.*`ten pack .*data\.subset_size=5 "):
        _ = _hub_job(tmp_path, "data.subset_size=5", dataset="standin/jsonl").recipe
    other = _hub_job(tmp_path, "data.invalid_text=replace", dataset="standin/jsonl")
    with pytest.raises(ServiceUnavailable, match=rf"OFFLINE.*{names}.*`ten pack .*invalid_text=replace"):
        other.before_streaming(other.open_cache())


def test_a_split_that_is_only_scored_is_scored_itself_and_whole(hub: Hub, tmp_path: Path) -> None:
    spec = _hub_job(tmp_path, "data.split=test", dataset="wikitext-103").spec
    recipe = Preparation(spec, only_scored=True).recipe
    assert [file.name.split("/")[1].split("-")[0] for file in recipe.corpus.files] == ["test"]
    assert recipe.split == WHOLE


def test_a_datasets_own_validation_split_is_held_out(hub: Hub, tmp_path: Path) -> None:
    recipe = _hub_job(tmp_path, dataset="wikitext-103").recipe
    assert recipe.split.units == len(recipe.units) - recipe.training_units == 1
