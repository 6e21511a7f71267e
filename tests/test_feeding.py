"""What a job downloads before it is fed."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.calls.patience import Patience
from ten.feeding import fetched
from ten.hub import transport as transport_module
from ten.hub.endpoint import Endpoint
from ten.hub.transport import Transport
from ten.job import load_job
from ten.plan import describe_plan, make_plan
from ten.preparation import Preparation
from tests.standins import hub_corpora
from tests.standins.hub import Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this process's own with a dataset of each kind."""
    hub_corpora.csv_files(tmp_path / "hub")
    hub_corpora.wikitext(tmp_path / "hub", rows=20)
    with Hub(tmp_path / "hub") as running:
        opened = Transport(Endpoint(url=running.endpoint), Patience(connect_s=2, silence_s=2, total_s=5))
        monkeypatch.setattr(transport_module, "_shared", (os.getpid(), opened))
        yield running
        opened.close()


def _job(tmp_path: Path, dataset: str, *sets: str) -> Preparation:
    return Preparation(load_job(None, {"data.dataset": dataset, "store": str(tmp_path / "store")}, sets))


def test_a_job_that_streams_says_why_it_downloads(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job = _job(tmp_path, "standin/csv")
    found = fetched(job).corpus
    folder = job.cache_dir.absolute() / "hub" / "standin--csv" / found.revision
    assert all(Path(file.path).is_relative_to(folder) for file in found.files)
    said = [record.getMessage() for record in caplog.records if record.name == "ten.feeding"]
    assert "standin/csv: .csv files can only be read whole: " in said[0] and said[0].endswith(f"first, to {folder}")
    assert said[1] == f"standin/csv: the raw files lie in {folder}; they may be deleted once all of it is packed"


@pytest.mark.parametrize(("sets", "kept"), [((), False), (("mode=full",), True), (("data.keep_files=true",), True)])
def test_a_plan_says_what_is_read_at_the_hub_and_which_raw_files_stay(
    hub: Hub, tmp_path: Path, sets: tuple[str, ...], kept: bool
) -> None:
    job = _job(tmp_path, "wikitext-103", *sets)
    plan = make_plan(job)
    assert (plan.repository, plan.hub_config) == ("Salesforce/wikitext", "wikitext-103-raw-v1")
    assert (plan.split, plan.text_column, plan.raw_bytes) == ("train", "text", job.corpus.bytes if kept else 0)
    text = describe_plan(plan)
    line = f"Salesforce/wikitext, config wikitext-103-raw-v1, split train, text column text, commit {plan.revision}"
    assert line in text
    assert ("kept in cache_dir" in text) == kept
