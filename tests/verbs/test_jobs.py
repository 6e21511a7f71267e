"""The verbs that do a job, as a person types them."""

from pathlib import Path

import pytest

from ten.calls.patience import read_patience
from ten.cli import main
from ten.hub import transport


def test_a_plan_without_a_network_ends_soon_and_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transport, "_shared", None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("TEN_PATIENCE", "0.3s")
    words = ["plan", "--store", str(tmp_path), "--cache-dir", str(tmp_path / "cache"), "--dataset", "some/text"]
    assert main(words) == 69
    assert "To plan without the data: `ten plan --dataset stdlib" in capsys.readouterr().err


def test_a_plan_is_less_patient_than_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def noted(*_: object) -> None:
        waits.append(read_patience({}).total_s)
        raise KeyError

    monkeypatch.setattr("ten.plan.make_plan", noted)
    with pytest.raises(KeyError):
        main(["plan", "--store", str(tmp_path)])
    assert waits == [15.0]
    assert read_patience({}).total_s == 300.0
