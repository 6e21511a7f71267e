"""lm-evaluation-harness on a run; what needs the harness itself is skipped where it is not installed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ten.errors import MissingInput, SpecError
from ten.export import harness
from ten.export.folder import export_run
from ten.export.harness import run_tasks
from ten.inference import load_model
from ten.runs import Run

TASK = """task: tales_pick
dataset_path: json
dataset_kwargs:
  data_files: {validation: FILE}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
DOCUMENTS: list[dict[str, Any]] = [
    {"question": "1 the sea", "choices": [" was calm", " <|endoftext|>"], "label": 0},
    {"question": "a house and", "choices": [" x", " the tale of a tree"], "label": 0},
    {"question": "river", "choices": [" stone", " river river river", "!"], "label": 2},
]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with one task over a local file."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "pick.jsonl").write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    (folder / "pick.yaml").write_text(TASK.replace("FILE", str(folder / "pick.jsonl")))
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness is there, and the hub is not."""
    pytest.importorskip("lm_eval", reason="pip install 'ten[eval]'")
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def _log_likelihood(run: Run, context: str, continuation: str) -> tuple[float, bool]:
    """By the parallel pass of our own model; whether the continuation is the likeliest text."""
    model, tokenizer = load_model(run)[0], run.tokenizer()
    before, whole = tokenizer.encode(context), tokenizer.encode(context + continuation)
    if not before:
        before, whole = [tokenizer.end_of_document], [tokenizer.end_of_document, *whole]
    tokens = torch.tensor([whole])
    starts = torch.zeros_like(tokens, dtype=torch.bool)
    starts[:, 1:] = tokens[:, :-1] == tokenizer.end_of_document
    with torch.no_grad():
        logits = model.logits(model(tokens, starts)[0])[0, len(before) - 1 : -1]
    targets = tokens[0, len(before) :]
    chances = torch.log_softmax(logits, dim=1).gather(1, targets.unsqueeze(1))
    return float(chances.sum()), bool((logits.argmax(dim=1) == targets).all())


@pytest.mark.filterwarnings("ignore")
def test_log_likelihoods_are_ours(run: Run, tmp_path: Path, installed: None) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    folder = export_run(run, tmp_path / "model").folder
    theirs = HFLM(pretrained=folder, backend="causal", device="cpu", batch_size=2, trust_remote_code=True)
    pairs = [(document["question"], choice) for document in DOCUMENTS for choice in document["choices"]]
    pairs += [("", " the sea"), ("1 the sea was calm and the", " end<|endoftext|> and")]
    asked = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
    for (value, is_greedy), pair in zip(theirs.loglikelihood(asked, disable_tqdm=True), pairs, strict=True):
        own, own_greedy = _log_likelihood(run, *pair)
        assert value == pytest.approx(own, rel=1e-5)
        assert is_greedy is own_greedy


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_task_is_scored_as_our_own_log_likelihoods_say(run: Run, tasks: Path, installed: None) -> None:
    right = []
    for document in DOCUMENTS:
        values = [_log_likelihood(run, document["question"], choice)[0] for choice in document["choices"]]
        right.append(values.index(max(values)) == document["label"])
    found = run_tasks(run, ["tales_pick"], folder=str(tasks))
    assert found.checkpoint == "step-00000007"
    assert found.tasks["tales_pick"]["acc,none"] == pytest.approx(sum(right) / len(right))
    assert "tales_pick" in found.table
    assert run_tasks(run, ["tales_pick"], folder=str(tasks), limit=1).tasks["tales_pick"]["acc,none"] == right[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_unknown_task_is_named_with_the_nearest(run: Run, tasks: Path, installed: None) -> None:
    with pytest.raises(SpecError, match=r"no task is called 'tales_pik'; did you mean 'tales_pick'"):
        run_tasks(run, ["tales_pik"], folder=str(tasks))


def test_without_the_harness_the_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "find_spec", lambda _: None)
    with pytest.raises(SpecError, match=r"lm_eval is not installed; pip install 'ten\[eval\]'"):
        run_tasks(run, ["lambada_openai"])


def test_a_folder_of_tasks_that_is_none_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(harness, "find_spec", lambda _: object())
    with pytest.raises(MissingInput, match="no such folder"):
        run_tasks(run, ["lambada_openai"], folder=str(tmp_path / "none"))
