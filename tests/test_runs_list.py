"""What is told of a store's runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ten.errors import MissingInput
from ten.runs_list import RunSummary, describe_runs, list_runs
from ten.store.local import LocalStore
from ten.store.protocol import Store
from ten.train.beside import METRICS
from ten.train.mirror import Mirror
from ten.train.run_record import write_run
from ten.train.stopping import StopRequest
from ten.train.stored_run import StoredRun
from tests.train.remote import Remote, make_checkpoint, make_run


def _fill(folder: Path) -> None:
    """A run that finished, one that was killed, one without a step."""
    done, killed, fresh = (folder / "runs" / name for name in ("done", "killed", "fresh"))
    record = make_run(done, 1000).begin(device="cpu", mode="full", world_size=1, from_step=0)
    write_run(done / "run.json", record.end(to_step=1000, reason="finished"))
    make_checkpoint(done, 500)
    make_checkpoint(done, 1000)
    record = make_run(killed, 7).begin(device="cpu", mode="full", world_size=1, from_step=0)
    write_run(killed / "run.json", record)
    make_run(fresh, 0)


def _remote(folder: Path) -> Store:
    store = Remote()
    for run in sorted((folder / "runs").iterdir()):
        with Mirror(StoredRun(store, run.name), run, keep_last=3, stop=StopRequest(), grace_s=9.0) as mirror:
            mirror.note()
            for checkpoint in sorted(run.glob("checkpoints/*")):
                mirror.offer(checkpoint)
    return store


@pytest.fixture(params=["folder", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The three runs, in both kinds of store."""
    _fill(tmp_path)
    return LocalStore(tmp_path) if request.param == "folder" else _remote(tmp_path)


def test_a_run_is_told_by_its_last_step_its_checkpoints_and_its_end(store: Store) -> None:
    done, fresh, killed = list_runs(store)
    assert (done.run, done.step, done.tokens, done.total_tokens) == ("done", 1000, 10_000, 1000)
    assert done.loss == pytest.approx(sum(1 / step for step in range(951, 1001)) / 50)
    assert (done.dollars, done.unpriced, fresh.unpriced) == (None, 1, 0)
    assert done.state == "finished"
    assert done.checkpoints in (1, 2)  # a slow store gets the newest alone
    assert (fresh.step, fresh.loss, fresh.checkpoints, fresh.age_s, fresh.state) == (0, None, 0, None, "not begun")
    assert killed.state.startswith("running, or killed")


def test_the_age_is_that_of_the_newest_checkpoint(tmp_path: Path) -> None:
    _fill(tmp_path)
    seal = tmp_path / "runs" / "done" / "checkpoints" / "step-00001000" / "COMPLETE"
    done = list_runs(LocalStore(tmp_path), clock=lambda: seal.stat().st_mtime + 90)[0]
    assert done.age_s == pytest.approx(90)


def test_only_the_end_of_long_metrics_is_read_and_a_torn_line_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path)
    with (tmp_path / "runs" / "done" / METRICS).open("ab") as file:
        file.write(b'{"step": 1001, "tok')
    asked: list[int] = []
    read_range = LocalStore.read_range

    def noted(store: LocalStore, key: str, start: int, length: int) -> bytes:
        asked.append(length)
        return read_range(store, key, start, length)

    monkeypatch.setattr(LocalStore, "read_range", noted)
    assert list_runs(LocalStore(tmp_path))[0].step == 1000
    assert max(asked) <= 64 * 1024


def test_a_store_without_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no runs yet"):
        list_runs(LocalStore(tmp_path))


def test_what_is_known_of_the_dollars_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    record = make_run(folder, 3).begin(device="cpu", mode="full", world_size=1, from_step=0)
    record = record.end(to_step=2, reason="stopped").begin(
        device="cpu", mode="full", world_size=1, from_step=2, price_per_hour=3600.0,
        started=datetime.now(UTC) - timedelta(seconds=9.5),
    )  # fmt: skip
    write_run(folder / "run.json", record.end(to_step=3, reason="finished"))
    (run,) = list_runs(LocalStore(tmp_path))
    assert run.dollars is not None and run.dollars >= 8.5 and run.unpriced == 1
    assert f"${run.dollars:.2f} + ?" in describe_runs([run]) and "resources.price_per_hour" in describe_runs([run])


def test_the_table_is_aligned_and_eighty_columns_wide() -> None:
    long = RunSummary(
        run="a-long-name", step=123_456, tokens=999_000_000, total_tokens=10_000_000_000, loss=3.25,
        held_out_bits_per_byte=1.5, checkpoints=3, age_s=timedelta(minutes=25).total_seconds(), state="stopped",
        dollars=212.5, unpriced=1,
    )  # fmt: skip
    done = RunSummary(
        run="b", step=400, tokens=401_000, total_tokens=400_000, loss=1.612, held_out_bits_per_byte=None, checkpoints=1,
        age_s=None, state="finished", dollars=0.0,
    )  # fmt: skip
    lines = describe_runs([long, done]).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines == [
        "  step          tokens  nats/token  bits/byte     checkpoints         cost",
        "a-long-name: stopped",
        "123456  999M of 10.00B       3.250      1.500  3, 25m 00s ago  $212.50 + ?",
        "b: finished",
        "   400            401K       1.612          -               1        $0.00",
        "?: attempts without a price; resources.price_per_hour states what an hour costs",
    ]
