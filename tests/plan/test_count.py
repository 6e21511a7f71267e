"""The plan: counted, in a second, with nothing made."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from ten.errors import SpecError
from ten.feeding import pack
from ten.job import load_job
from ten.model.cost import flops_per_token, matrix_parameters, parameters
from ten.plan import describe_plan, make_plan
from ten.preparation import Preparation


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Some English-like text in 200 records."""
    path = tmp_path / "c.jsonl"
    path.write_text("".join(f'{{"text": "record number {n} of some words, {n * 7} in all"}}\n' for n in range(200)))
    return path


def _job(corpus: Path, *sets: str) -> Preparation:
    flags = {"data.dataset": str(corpus), "store": str(corpus.parent / "store"), "data.seq_len": 16}
    return Preparation(load_job(None, flags, sets))


def test_numbers_follow_from_the_job(corpus: Path) -> None:
    sets = ["train.steps=7", "train.micro_batch_rows=3", "train.gradient_accumulation=2"]
    job = _job(corpus, *sets)
    plan = make_plan(job)
    assert (plan.step_tokens, plan.steps, plan.tokens) == (96, 7, 672)
    assert plan.parameters == parameters(job.model, 50257)
    assert plan.flops == 672 * flops_per_token(job.model, 50257)
    assert plan.pack_bytes == plan.epoch_tokens * 2
    assert not plan.packed


def test_every_level_of_memory_has_a_line(corpus: Path) -> None:
    plan = make_plan(_job(corpus, "model.config=small", "data.seq_len=8192"))
    assert [row.level for row in plan.memory] == ["keep", "select", "recompute", "segments"]
    lines = describe_plan(plan).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("memory"))
    assert [line.split()[number == 0] for number, line in enumerate(lines[first : first + 4])] == [
        row.level for row in plan.memory
    ]


def test_the_bytes_of_checkpoints_follow_the_optimizer(corpus: Path) -> None:
    sets = {name: make_plan(_job(corpus, f"train.optimizer={name}")).checkpoint_bytes for name in ("adamw", "muon")}
    matrices = matrix_parameters(_job(corpus).model)
    assert sets["adamw"] == 4 * 12 * make_plan(_job(corpus)).parameters
    assert sets["adamw"] - sets["muon"] == 4 * 4 * matrices


def test_a_finished_pack_is_known_and_the_estimate_was_near(corpus: Path) -> None:
    before = make_plan(_job(corpus))
    manifest = pack(_job(corpus)).manifest
    after = make_plan(_job(corpus))
    assert after.packed
    assert after.pack_bytes == manifest.bytes
    assert before.epoch_tokens == after.epoch_tokens == pytest.approx(manifest.tokens, rel=0.1)


def test_a_plan_makes_nothing_and_needs_no_torch(corpus: Path) -> None:
    command = ["plan", "--dataset", str(corpus), "--store", str(corpus.parent / "store"), "--json", "--config", "large"]
    code = f"import sys; from ten.cli import main; main({command!r}); print('torch' in sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "False"
    assert '"parameters"' in run.stdout
    assert not (corpus.parent / "store").exists()


def test_an_untrained_tokenizer_is_said_and_not_trained(corpus: Path) -> None:
    plan = make_plan(_job(corpus, "data.tokenizer=bpe:300"))
    assert plan.fingerprint is None
    assert "not trained yet" in plan.notes[0]
    assert not (corpus.parent / "store").exists()


def test_hours_and_dollars_follow_from_what_is_counted(corpus: Path) -> None:
    job = _job(corpus, "train.steps=7", "resources.accelerators=L40S", "limits.max_cost=5")
    plan = make_plan(job, mfu=0.25)
    (found,) = plan.quotes
    assert (found.machine, found.price_per_hour) == ("gpu-l40sx1-48gb", 1.57)
    assert found.tokens_per_s == pytest.approx(0.25 * 362e12 / plan.flops_per_token)
    assert found.seconds == math.ceil(plan.flops / (0.25 * 362e12))
    assert found.fits
    assert plan.tokens < plan.epoch_tokens
    assert plan.download_bytes == 0
    assert plan.packing_bytes == math.ceil(plan.pack_bytes * plan.tokens / plan.epoch_tokens)
    assert plan.kept_bytes == plan.packing_bytes + plan.checkpoint_bytes


def test_a_wish_beyond_its_limits_is_called_so_with_what_fits(corpus: Path) -> None:
    sets = ["model.config=large", "train.tokens=10B", "limits.max_duration=2h", "resources.accelerators=L40S"]
    text = describe_plan(make_plan(_job(corpus, *sets)))
    assert "does not fit on gpu-l40sx1-48gb" in text
    assert "attempts of it" in text and "what fits: " in text and "MFU 0.4 is assumed" in text
    assert max(len(line) for line in text.partition("\n\n")[2].splitlines()) <= 100


def test_a_card_that_has_not_the_memory_is_called_so_with_the_setting_that_cures_it(corpus: Path) -> None:
    sets = ["model.config=large", "train.tokens=1B", "resources.accelerators=L40S", "train.memory=select"]
    plan = make_plan(_job(corpus, *sets, "data.seq_len=8192"))
    (found,) = plan.quotes
    assert found.hindrances == ("memory",) and found.cure
    assert f"{' '.join(found.cure)} would fit" in describe_plan(plan)


def test_a_text_that_is_read_too_often_is_remarked(corpus: Path) -> None:
    few, many = (make_plan(_job(corpus, f"train.epochs={epochs}")) for epochs in (3, 40))
    assert not any("epochs" in note for note in few.notes)
    assert any("epochs: beyond some 4" in note for note in many.notes)


def test_a_job_that_only_packs_has_no_hours_of_training(corpus: Path) -> None:
    assert make_plan(_job(corpus, "mode=pack")).quotes == ()


def test_a_utilization_that_cannot_be_is_refused(corpus: Path) -> None:
    with pytest.raises(SpecError, match=r"--mfu 1\.5"):
        make_plan(_job(corpus), mfu=1.5)


def test_people_read_every_number(corpus: Path) -> None:
    plan = make_plan(_job(corpus))
    text = describe_plan(plan)
    for number in (f"{plan.parameters:,}", f"{plan.tokens:,}", f"{plan.steps:,}", f"{plan.flops:.3g}"):
        assert number in text
