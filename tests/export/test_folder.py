"""An exported run: whole or not there, ours to the bit, loaded by transformers where the package is installed."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import ten.hf
from ten.errors import DiskFull, MissingInput, SpecError
from ten.export.folder import export_folder, export_run
from ten.inference import load_model
from ten.model.exported import FLOAT32, MODELING
from ten.runs import Run
from ten.store.local import LocalStore
from ten.store.memory import MemoryStore
from ten.text.corpus import Corpus, HubRequest, SourceFile
from ten.text.pins import keep_corpus
from ten.train import tensor_file
from tests.export.conftest import NAME, TOKENS

ROOT = Path(__file__).parents[2]
FILES = {
    "README.md", "config.json", "generation_config.json", "model.safetensors", "modeling_ten.py", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip
THEIR_OWN = {"transformers_version", "_from_model_config"}


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where it goes."""
    return tmp_path / "out" / "model"


def test_transformers_loads_it_with_our_logits(run: Run, to: Path) -> None:
    done = export_run(run, to)
    assert {path.name for path in to.iterdir()} == FILES
    assert done.bytes == sum(path.stat().st_size for path in to.iterdir())
    own, _ = load_model(run)
    theirs = AutoModelForCausalLM.from_pretrained(to)
    assert isinstance(theirs, ten.hf.TenForCausalLM)
    assert done.parameters == sum(parameter.numel() for parameter in theirs.parameters())
    tokens = torch.randint(own.vocabulary, (2, 40), generator=torch.Generator().manual_seed(0))
    starts = torch.zeros_like(tokens, dtype=torch.bool)
    starts[:, 1:] = tokens[:, :-1] == run.tokenizer().end_of_document
    assert torch.equal(theirs(tokens).logits, own.logits(own(tokens, starts)[0]))


def test_its_configuration_is_what_transformers_would_write(run: Run, to: Path, tmp_path: Path) -> None:
    export_run(run, to)
    AutoModelForCausalLM.from_pretrained(to).save_pretrained(tmp_path / "again")
    for name in ("config.json", "generation_config.json"):
        ours, theirs = (json.loads((folder / name).read_bytes()) for folder in (to, tmp_path / "again"))
        assert {key: value for key, value in theirs.items() if key not in THEIR_OWN} == ours
    assert load_file(to / "model.safetensors").keys() == load_file(tmp_path / "again" / "model.safetensors").keys()
    assert (tmp_path / "again" / "modeling_ten.py").read_text() == MODELING


def test_a_process_that_never_heard_of_us_loads_and_saves_it(run: Run, to: Path, tmp_path: Path) -> None:
    export_run(run, to)
    code = f"""
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(to)!r}, trust_remote_code=True)
model = AutoModelForCausalLM.from_pretrained({str(to)!r}, trust_remote_code=True)
prompts = tokenizer(["a", "a longer prompt"], return_tensors="pt", padding=True)
print(model.generate(**prompts, max_new_tokens=5, do_sample=False)[:, -5:].tolist())
model.save_pretrained({str(tmp_path / "again")!r})
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    tokens = torch.tensor([run.tokenizer().encode("a")])
    drawn = model.generate(tokens, max_new_tokens=5, do_sample=False)[0, tokens.shape[1] :].tolist()
    assert json.loads(said.stdout)[0] == drawn
    assert {path.name for path in (tmp_path / "again").glob("*.py")} == {"modeling_ten.py"}


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ten.hf", None)
    with pytest.raises(ImportError, match=r"needs the TEN job bundle: run `pip install PATH`"):
        exec(MODELING, {})


def test_transformers_is_not_needed_to_export(run: Run, to: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from ten.export.folder import export_run
from ten.runs import find_run
export_run(find_run({str(run.folder)!r}, None), Path({str(to)!r}))
print("transformers" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_in_bfloat16_all_but_the_eigenvalues_is_rounded(run: Run, to: Path, tmp_path: Path) -> None:
    export_run(run, to, dtype="bf16")
    export_run(run, tmp_path / "whole")
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    for name, tensor in load_file(to / "model.safetensors").items():
        expected = whole[name] if name.endswith(FLOAT32) else whole[name].to(torch.bfloat16)
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected)
    assert AutoModelForCausalLM.from_pretrained(to).dtype == torch.bfloat16


def test_the_card_says_what_is_known(run: Run, to: Path) -> None:
    done = export_run(run, to)
    card = (to / "README.md").read_text(encoding="utf-8")
    assert f"# {NAME}\n" in card
    assert f"| parameters | {done.parameters:,} (nano: 2 layers, width 16, 8 eigenstates a layer) |" in card
    assert f"| tokens trained on | {TOKENS:,}, in rows of 64 |" in card
    assert "| held-out bits per byte | 2.5000 |" in card
    assert "| data set | tales.jsonl |" in card
    assert "license: unknown" in card
    assert "| licence of the data | unknown" in card
    assert "ten train --set" in card
    assert "--set data.tokenizer=bpe:400" in card
    assert f"ten export {NAME} --dtype fp32 --to model\n" in card
    assert str(run.folder) not in card
    (run.folder / "metrics.jsonl").unlink()
    export_run(run, to, force=True)
    assert "unknown: the run was not scored" in (to / "README.md").read_text(encoding="utf-8")


def test_the_card_names_a_hub_data_set_with_its_commit(run: Run, to: Path) -> None:
    file = SourceFile(path="x", name="a.parquet", bytes=3, probe="sha256:c")
    corpus = Corpus(
        dataset="tales",
        slug="tales",
        revision="c0ffee",
        files=(file,),
        asked=HubRequest(repo="them/tales"),
        config="en",
    )
    keep_corpus(run.folder, corpus)
    export_run(run, to)
    card = (to / "README.md").read_text(encoding="utf-8")
    assert "| data set | tales (them/tales, config en) |\n| revision | c0ffee |" in card


def test_a_folder_that_is_there_is_left_alone(run: Run, to: Path) -> None:
    to.mkdir(parents=True)
    (to / "thesis.txt").write_text("x")
    with pytest.raises(SpecError, match="is there already"):
        export_run(run, to)
    with pytest.raises(SpecError, match="is no exported model"):
        export_run(run, to, force=True)
    assert [path.name for path in to.iterdir()] == ["thesis.txt"]


def test_an_export_is_replaced_when_that_is_asked_for(run: Run, to: Path) -> None:
    export_run(run, to)
    with pytest.raises(SpecError, match="--force"):
        export_run(run, to)
    (to / "old.txt").write_text("x")
    export_run(run, to, dtype="bf16", force=True)
    assert {path.name for path in to.iterdir()} == FILES
    assert [path.name for path in to.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("is_there", [False, True])
def test_one_that_fails_in_the_middle_leaves_what_was_there(
    run: Run, to: Path, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_there:
        export_run(run, to)
    before = sorted(to.parent.rglob("*"))

    def breaks(*_: object) -> Iterator[bytes]:
        yield b"some"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tensor_file, "pieces", breaks)
    with pytest.raises(DiskFull, match=r"no room.*--to DIR"):
        export_run(run, to, force=True)
    assert sorted(to.parent.rglob("*")) == before


def test_a_run_without_a_checkpoint_is_refused_and_nothing_made(run: Run, to: Path) -> None:
    (run.folder / "checkpoints").rename(run.folder / "elsewhere")
    with pytest.raises(MissingInput, match="no checkpoint yet"):
        export_run(run, to)
    assert not to.parent.exists()


def test_without_a_place_it_lies_beside_the_runs(run: Run, store: LocalStore) -> None:
    assert export_folder(run, store) == run.folder.parents[1] / "exports" / NAME
    with pytest.raises(SpecError, match="--to DIR"):
        export_folder(run, MemoryStore())
