"""Bad input is one line that names thing, value and way out, with its exit code; nothing half-done stays."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ten.cli import main
from tests.end_to_end.bundle import TINY, Bundle

Ten = Callable[..., tuple[int, str]]


@pytest.fixture
def ten(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ten:
    """The command line in this process, over a store of its own: exit code and what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEN_STORE", str(tmp_path / "store"))

    def run(*words: str | Path) -> tuple[int, str]:
        code = main([str(word) for word in words])
        return code, capsys.readouterr().err

    return run


def _assert_refused(result: tuple[int, str], code: int, *words: str) -> None:
    """The code, one line that says these words, and no traceback."""
    found, said = result
    assert found == code, said
    complaint = [line for line in said.splitlines() if line.startswith("ten: ")]
    assert len(complaint) == 1
    assert "Traceback" not in said
    for word in words:
        assert word in complaint[0]


def test_unknown_verb_flag_and_setting_name_the_nearest(ten: Ten) -> None:
    _assert_refused(ten("trian"), 78, "'trian'", "did you mean 'train'")
    _assert_refused(ten("train", "--confg", "nano"), 78, "--confg", "did you mean '--config'")
    _assert_refused(ten("plan", "--set", "data.seqlen=4"), 78, "data.seqlen", "did you mean 'data.seq_len'")
    _assert_refused(ten("plan", "--set", "data.seq_len"), 78, "--set path=value")


def test_unknown_key_in_a_job_file_names_file_line_and_path(ten: Ten, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("version: 1\ndata:\n  dataset: stdlib\n  sek_len: 12\n")
    _assert_refused(ten("plan", job), 78, f"{job}:4: data.sek_len", "did you mean 'seq_len'")
    job.write_text("train: {steps: many}\n")
    _assert_refused(ten("plan", job), 78, f"{job}:1: train.steps", "a whole number")
    job.write_text("train: [1, 2]\n")
    _assert_refused(ten("plan", job), 78, f"{job}:1: train", "mapping")
    job.write_text("a: b: c\n")
    _assert_refused(ten("plan", job), 78, str(job), "not valid YAML")
    _assert_refused(ten("plan", tmp_path / "gone.yaml"), 66, "gone.yaml", "no such job file")


def test_values_out_of_range_and_unknown_presets_are_named(ten: Ten) -> None:
    _assert_refused(ten("plan", "--config", "lrage"), 78, "lrage", "did you mean 'large'")
    _assert_refused(ten("plan", "--set", "train.steps=0"), 78, "train.steps")
    _assert_refused(ten("plan", "--set", "checkpoint.every=10 parsecs"), 78, "checkpoint.every", "10m")
    _assert_refused(ten("plan", "--streaming", "--pretokenized"), 78, "mode is given twice")
    _assert_refused(ten("train", "--set", "mode=pack"), 78, "ten pack")


def test_missing_data_is_named(ten: Ten, tmp_path: Path) -> None:
    _assert_refused(ten("pack", "--dataset", "nowhere/*.parquet"), 66, "nowhere/*.parquet")
    _assert_refused(ten("pack", "--dataset", "wikipedia"), 66, "wikipedia", "stdlib")
    (tmp_path / "notes.docx").write_bytes(b"PK")
    _assert_refused(ten("pack", "--dataset", tmp_path / "notes.docx"), 65, "notes.docx", ".jsonl", ".docx")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    _assert_refused(ten("pack", "--dataset", tmp_path / "empty.jsonl"), 65, "empty corpus")
    (tmp_path / "nulls.jsonl").write_text('{"text": null}\n{"text": ""}\n')
    _assert_refused(ten("pack", "--dataset", tmp_path / "nulls.jsonl"), 65, "empty corpus")
    assert not list(tmp_path.glob("store/packs/*/manifest.json"))


def test_columns_and_encodings_are_named(ten: Ten, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"title": "x", "body": "y", "n": 3}\n')
    _assert_refused(ten("pack", "--dataset", tmp_path / "a.jsonl"), 65, "title, body", "data.text_column")
    _assert_refused(
        ten("pack", "--dataset", tmp_path / "a.jsonl", "--text-column", "txt"), 65, "'txt'", "title, body", "n"
    )
    (tmp_path / "latin.txt").write_bytes("Füße".encode("latin-1"))
    _assert_refused(ten("pack", "--dataset", tmp_path / "latin.txt"), 65, "latin.txt", "byte 1", "invalid_text=replace")
    assert ten("pack", "--dataset", tmp_path / "latin.txt", "--set", "data.invalid_text=replace")[0] == 0


def test_truncated_files_are_named(ten: Ten, tmp_path: Path) -> None:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet

    whole = gzip.compress(b'{"text": "some text that goes on"}\n' * 500)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    _assert_refused(ten("pack", "--dataset", tmp_path / "cut.jsonl.gz"), 65, "cut.jsonl.gz", "cut short", "fetch")
    pyarrow.parquet.write_table(pa.table({"text": ["some text"] * 100}), tmp_path / "whole.parquet")
    data = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) - 20])
    _assert_refused(ten("pack", "--dataset", tmp_path / "cut.parquet"), 65, "cut.parquet", "Parquet", "fetch")


def test_a_pack_without_a_row_names_the_column(ten: Ten, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "one", "title": "two"}\n' * 50)
    words = ("pack", "--dataset", tmp_path / "a.jsonl", "--text-column", "body")
    code, said = ten(*words, "--seq-len", "512")
    assert code == 0
    assert "warning: too little text for one row of 512 tokens: is 'body' the column of the text" in said
    assert "warning" not in ten(*words, "--seq-len", "16")[1]


def test_a_run_needs_a_row(ten: Ten, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("too short")
    words = ["train", "--dataset", tmp_path / "short.txt", "--seq-len", "512", "--steps", "1", *TINY]
    _assert_refused(ten(*words), 65, "513 tokens", "data.seq_len")


def test_a_corpus_too_small_to_hold_out_still_trains(ten: Ten, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one document only " * 500)
    code, said = ten("train", "--dataset", tmp_path / "one.txt", "--seq-len", "64", "--steps", "2", *TINY)
    assert code == 0
    assert "too few documents to hold any out" in said


def test_pretok_names_the_command_that_packs(bundle: Bundle) -> None:
    done = bundle.run("train", *bundle.training("--pretokenized"), code=66)
    command = re.search(r"run `ten ([^`]*)`", done.stderr)
    assert command
    assert f"data.dataset={bundle.corpus}" in command[1]
    assert f"store={bundle.store}" in command[1]
    assert not list(bundle.store.glob("runs/*/checkpoints/*"))


def test_a_damaged_shard_is_never_read(bundle: Bundle) -> None:
    bundle.run("pack")
    shard = next(bundle.store.glob("packs/*/shards/00000.safetensors"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    report = json.loads(bundle.verify(code=65))
    assert {finding["kind"] for finding in report["damaged"]} == {"shard"}
    bundle.run("train", *bundle.training("--pretokenized", "--set", "data.seed=3"), code=65)
    bundle.run("pack")
    assert json.loads(bundle.verify(code=0))["damaged"] == []


def test_a_run_of_another_spec_names_the_field(bundle: Bundle) -> None:
    bundle.train("--steps", "2")
    for setting in ("model.layers=2", "data.seq_len=512", "train.learning_rate=0.5", "data.seed=9"):
        done = bundle.run("train", *bundle.training("--steps", "2", "--set", setting), code=78)
        assert setting.partition("=")[0] in done.stderr
    again = bundle.run("train", *bundle.training("--steps", "2", "--set", "checkpoint.resume=never"), code=78)
    assert "resume" in again.stderr


def test_resume_require_needs_a_checkpoint(bundle: Bundle) -> None:
    done = bundle.run("train", *bundle.training("--set", "checkpoint.resume=require"), code=66)
    assert "no checkpoint" in done.stderr


def test_a_store_that_is_a_file_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = bundle.run("pack", "--set", f"store={tmp_path}/file", code=78)
    assert f"{tmp_path}/file" in done.stderr
    assert "store=DIR" in done.stderr


def test_a_full_disk_is_named_and_what_was_packed_stays(bundle: Bundle) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); from ten.cli import main; sys.exit(main())"
    )
    words = bundle.command("pack")[3:]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 73, done.stderr
    assert "no room to write" in done.stderr
    assert not list(bundle.store.rglob(".tmp-*"))
    assert not list(bundle.store.rglob("manifest.json"))
    bundle.run("pack")


def test_two_stores_behind_one_cache_are_both_whole(bundle: Bundle, tmp_path: Path) -> None:
    for store in ("one", "two"):
        bundle.run("pack", "--cache-dir", str(tmp_path / "cache"), "--set", f"store={tmp_path / store}")
    one, two = (sorted(path.name for path in (tmp_path / store).rglob("*.*")) for store in ("one", "two"))
    assert one == two
    assert len(one) > 10


def test_a_store_inside_the_dataset_is_no_part_of_it(ten: Ten, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text " * 300)
    words = ["train", "--dataset", ".", "--seq-len", "16", "--set", "run=r", *TINY]
    assert ten(*words, "--steps", "2")[0] == 0
    assert ten(*words, "--steps", "3")[0] == 0


def test_a_bad_value_is_shown_with_what_it_may_be(ten: Ten) -> None:
    _assert_refused(ten("plan", "--set", "mode=pretoken"), 78, "mode: 'pretoken'", "did you mean 'pretok'")
    _assert_refused(ten("plan", "--steps", "-3"), 78, "train.steps: -3", ">= 1")
    _assert_refused(ten("plan", "--set", "model.backend=fast"), 78, "model.backend: 'fast'", "chunked")
    _assert_refused(ten(), 78, "name a verb", "train")
