"""Source checks: tokenizers with and without a network, plans that fit or not, a hub that answers or not."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.doctor.examination import examine
from ten.doctor.finding import Finding
from ten.doctor.sources import check_hub, check_plan, check_tokenizer
from ten.doctor.subject import Subject
from ten.feeding import pack
from ten.hub import transport
from ten.job import load_job
from ten.text.bpe import train_bpe
from tests.doctor.conftest import MakeSubject
from tests.standins.hub import Hub

NAME = "somebody/model"
COMMIT = "0123456789" * 4


def _hub_finding(subject: Subject) -> Finding:
    (found,) = examine(subject, {"hub": check_hub})
    return found


def test_tokenizers_that_need_no_network_pass(make_subject: MakeSubject, tmp_path: Path) -> None:
    assert "50,257 entries" in check_tokenizer(make_subject()).value
    assert check_tokenizer(make_subject("data.tokenizer=bpe:300")).status == "ok"
    (found,) = examine(make_subject(f"data.tokenizer={tmp_path}/none.json"), {"tokenizer": check_tokenizer})
    assert found.status == "fail"


def test_a_hubs_tokenizer_is_here_or_must_be_fetched(
    make_subject: MakeSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject(f"data.tokenizer={NAME}")
    found = check_tokenizer(subject)
    assert found.status == "warn" and "not here yet" in found.value
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert check_tokenizer(subject).status == "fail"
    baked = tmp_path / "baked"
    baked.mkdir()
    (baked / "somebody--model.pin").write_text(f"{COMMIT}\n")
    (baked / f"somebody--model@{COMMIT}.json").write_text(json.dumps(train_bpe(["some words", "<|endoftext|>"], 300)))
    monkeypatch.setenv("TEN_TOKENIZERS", str(baked))
    found = check_tokenizer(subject)
    assert found.status == "ok" and found.value.startswith(f"{NAME}: here")


def test_a_plan_beyond_every_limit_is_a_warning(make_subject: MakeSubject) -> None:
    sets = ["resources.accelerators=L40S", "limits.max_cost=1"]
    assert check_plan(make_subject(*sets)).status == "ok"
    found = check_plan(make_subject(*sets, "model.config=large", "train.tokens=10B"))
    assert found.status == "warn" and "does not fit on gpu-l40sx1-48gb (money)" in found.value


def test_text_that_is_not_there_has_no_plan(make_subject: MakeSubject, tmp_path: Path) -> None:
    (found,) = examine(make_subject(f"data.dataset={tmp_path}/none.jsonl"), {"plan": check_plan})
    assert found.status == "fail" and "none.jsonl" in found.value and found.cure


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one small data set, which this process is told to ask."""
    folder = tmp_path / "hub" / "datasets" / "somebody" / "tales"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(f'{{"text": "tale number {n}"}}\n' for n in range(50)))
    with Hub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.port}")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("TEN_PATIENCE", "2s")
        monkeypatch.setattr(transport, "_shared", None)  # another test's hub is not this one
        yield hub


def _subject(tmp_path: Path, *sets: str) -> Subject:
    flags = {"data.dataset": "somebody/tales", "store": str(tmp_path / "store"), "data.seq_len": 16}
    return Subject(load_job(None, flags, ["data.tokenizer=gpt2", *sets]))


def test_the_hub_is_asked_only_where_the_job_will_ask_it(make_subject: MakeSubject, tmp_path: Path, hub: Hub) -> None:
    assert check_hub(make_subject()).status == "skipped"
    assert check_hub(_subject(tmp_path, "mode=pretok")).status == "skipped"
    found = _hub_finding(_subject(tmp_path))
    assert found.status == "ok" and "answers for somebody/tales, without a token" in found.value
    pack(_subject(tmp_path).job)
    assert _hub_finding(_subject(tmp_path)).value.startswith("the dataset is packed")


def test_a_hub_that_does_not_answer_or_may_not_be_asked_fails(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = _subject(tmp_path)
    assert not subject.plan.packed
    hub.close()
    found = _hub_finding(subject)
    assert found.status == "fail" and "127.0.0.1" in found.value
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert _hub_finding(subject).status == "fail"
