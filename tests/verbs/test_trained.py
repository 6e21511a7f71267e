"""runs as it is typed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ten.cli import main
from ten.train.run_record import RunRecord, write_run


def test_runs_lists_the_store_that_is_named_or_the_one_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = RunRecord(run="train-tales", created=datetime(2026, 1, 2, tzinfo=UTC), spec={}, total_tokens=1000)
    write_run(tmp_path / "runs" / "train-tales" / "run.json", record)
    for words in (["runs", str(tmp_path)], ["runs", "--store", str(tmp_path)]):
        assert main(words) == 0
        assert "train-tales" in capsys.readouterr().out
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert [run["run"] for run in json.loads(capsys.readouterr().out)] == ["train-tales"]
    assert main(["runs", str(tmp_path / "none")]) == 66
