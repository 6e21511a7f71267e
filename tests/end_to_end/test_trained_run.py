"""What a trained run is good for: scored, sampled, verified, found again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.bundle import Bundle


@pytest.fixture(scope="module")
def trained(corpus: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with one finished run."""
    bundle = Bundle(tmp_path_factory.mktemp("trained"), corpus, tokenizer)
    bundle.train("--set", "data.pack_threads=2", "--steps", "6")
    return bundle


def _ten(*words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([sys.executable, "-m", "ten.cli", *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_eval_gives_the_score_that_training_gave(trained: Bundle) -> None:
    result = json.loads(_ten("eval", "--store", str(trained.store), "--json").stdout)
    last = trained.metrics()[-1]
    assert result["bits_per_byte"] == pytest.approx(last.held_out_bits_per_byte, rel=1e-5)
    assert [one["tokens"] for one in result["by_context"]] == [one.tokens for one in last.held_out_by_context]
    assert result["checkpoint"] == "step-00000006"


def test_eval_scores_other_text(trained: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({"text": f"import module{n}\n" * 9}) + "\n" for n in range(200)))
    said = _ten("eval", "--store", str(trained.store), "--dataset", str(other)).stdout
    assert str(other) in said
    assert "bits per byte" in said


def test_generated_text_begins_with_the_prompt_and_repeats_for_a_seed(trained: Bundle) -> None:
    words = ["generate", "--store", str(trained.store), "--prompt", "def f(", "--max-tokens", "24"]
    first, again = _ten(*words).stdout, _ten(*words).stdout
    other = _ten(*words, "--seed", "1").stdout
    assert first == again != other
    assert first.startswith("def f(")
    assert not first.startswith("def f(def f(")
    assert len(first) > len("def f(\n")


def test_a_finished_run_is_left_as_it_is(trained: Bundle) -> None:
    def kept() -> dict[str, bytes]:
        (run,) = (trained.store / "runs").iterdir()
        return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}

    before = kept()
    words = trained.training("--set", "data.pack_threads=2", "--steps", "6", "--set", "limits.max_duration=1h")
    done = trained.run("train", *words)
    assert done.stdout.startswith("already finished at step 6: ")
    assert "bits per byte" in done.stdout and "waited" not in done.stdout
    assert "goes on with" not in done.stderr and "from step" not in done.stderr
    assert kept() == before


def test_generation_needs_neither_corpus_nor_prompt(trained: Bundle, tmp_path: Path) -> None:
    run = next((trained.store / "runs").iterdir())
    copy = tmp_path / run.name
    subprocess.run(["cp", "-r", str(run), str(copy)], check=True)
    (copy / "run.json").write_text((copy / "run.json").read_text().replace(str(trained.corpus), "/nowhere/gone.jsonl"))
    assert _ten("generate", str(copy), "--max-tokens", "8").stdout.strip()


def test_the_run_keeps_its_record(trained: Bundle) -> None:
    (path,) = trained.store.glob("runs/*/run.json")
    record = json.loads(path.read_bytes())
    assert path.parent.name == record["run"] == "train-sources-nano"
    assert record["attempts"][0]["reason"] == "finished"
    assert record["attempts"][0]["to_step"] == 6
    assert record["spec"]["model"]["layers"] == 1


def test_verify_reads_every_byte_of_pack_and_run(trained: Bundle) -> None:
    report = json.loads(trained.verify(code=0))
    kept = list(trained.store.rglob("*.safetensors"))
    assert report["bytes"] >= sum(path.stat().st_size for path in kept)
    assert report["damaged"] == []


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(trained: Bundle) -> None:
    newest = max(trained.store.glob("runs/*/checkpoints/step-*"))
    file = newest / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    try:
        report = json.loads(trained.verify(code=65))
        assert [finding["path"] for finding in report["damaged"]] == [str(file)]
        done = _ten("generate", "--store", str(trained.store), "--max-tokens", "4")
        assert f"{newest} is damaged" in done.stderr
    finally:
        file.write_bytes(whole)


def test_an_unknown_run_lists_those_there_are(trained: Bundle, tmp_path: Path) -> None:
    said = _ten("generate", "train-sources-nono", "--store", str(trained.store), code=66).stderr
    assert "did you mean 'train-sources-nano'" in said
    assert "no run has a checkpoint" in _ten("eval", "--store", str(tmp_path), code=66).stderr


def test_a_checkpoint_of_another_run_is_refused_even_without_its_record(trained: Bundle) -> None:
    (record,) = trained.store.glob("runs/*/run.json")
    whole = record.read_bytes()
    record.unlink()
    try:
        done = trained.run("train", *trained.training("--steps", "6", "--set", "data.seed=7"), code=78)
        assert "checkpoint" in done.stderr
        assert "data.seed" in done.stderr
    finally:
        record.write_bytes(whole)


def test_all_of_another_text_is_scored(trained: Bundle, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("import os\n" * 40)
    result = json.loads(_ten("eval", "--store", str(trained.store), "--dataset", str(tmp_path), "--json").stdout)
    assert result["text_bytes"] == 400


def test_eval_says_perplexity_and_the_loss_by_context(trained: Bundle) -> None:
    result = json.loads(_ten("eval", "--store", str(trained.store), "--json").stdout)
    assert result["perplexity"] == pytest.approx(2 ** result["bits_per_token"])
    buckets = result["by_context"]
    assert sum(bucket["tokens"] for bucket in buckets) == result["tokens"]
    assert (buckets[0]["begin"], buckets[-1]["end"]) == (0, 1024)
    said = _ten("eval", "--store", str(trained.store)).stdout
    assert f"perplexity {result['perplexity']:.2f} per token" in said
    assert "bits per token by tokens of context: 0-7: " in said


def test_export_writes_beside_the_runs_once(trained: Bundle) -> None:
    words = ["export", "--store", str(trained.store)]
    done = json.loads(_ten(*words, "--json").stdout)
    folder = trained.store / "exports" / "train-sources-nano"
    assert Path(done["folder"]) == folder
    assert (folder / "model.safetensors").is_file()
    assert "--force" in _ten(*words, code=78).stderr
    assert "how to load it is in its README.md" in _ten(*words, "--force", "--dtype", "bf16").stdout
    assert json.loads(trained.verify(code=0))["damaged"] == []


def test_benchmarks_and_text_are_not_scored_at_once(trained: Bundle) -> None:
    words = ["eval", "--store", str(trained.store), "--tasks", "lambada_openai", "--dataset", "x.txt"]
    assert "leave one of them out" in _ten(*words, code=78).stderr
    assert "no count of documents" in _ten("eval", "--tasks", "x", "--limit", "0", code=78).stderr
