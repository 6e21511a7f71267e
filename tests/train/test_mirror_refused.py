"""A run that its store no longer takes: the key is refused, or another process trains it."""

from pathlib import Path
from shutil import copytree

import pytest

from ten.errors import CredentialsError, SpecError
from ten.train.run_record import read_run, write_run
from ten.train.stopping import StopRequest
from tests.train.remote import Remote, make_checkpoint, make_run, open_mirror, step_folder, wait_until


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with metrics of nine steps."""
    make_run(tmp_path / "r", 9)
    return tmp_path / "r"


def test_a_key_that_is_refused_stops_the_run_and_says_that_the_checkpoint_is_here(run: Path) -> None:
    store, stop = Remote(), StopRequest()
    with pytest.raises(CredentialsError) as caught, open_mirror(store, run, stop=stop) as mirror:
        store.error = CredentialsError("the secret is wrong")
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: stop.reason)
        mirror.offer(make_checkpoint(run, 2))
        raise mirror.farewell("stopped by it after step 2")
    assert "step-00000002 is on this disk only" in str(caught.value) and "the secret is wrong" in str(caught.value)
    assert not [key for what, key in store.asked if key.startswith(step_folder(2))]


def test_a_refused_key_before_the_first_step_is_no_resumable_end(run: Path) -> None:
    store, stop = Remote(), StopRequest()
    with open_mirror(store, run, stop=stop) as mirror:
        store.error = CredentialsError("the secret is wrong")
        mirror.note()
        wait_until(lambda: stop.reason)
        assert isinstance(mirror.farewell("stopped before the first step"), CredentialsError)


def test_a_process_that_another_machine_took_over_from_sends_nothing_more_and_ends(run: Path, tmp_path: Path) -> None:
    store, stop, other = Remote(), StopRequest(), Path(copytree(run, tmp_path / "other" / "r"))
    with pytest.raises(SpecError) as caught, open_mirror(store, run, stop=stop) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: mirror.stored == 1)
        record = read_run(other / "run.json")
        assert record is not None
        write_run(other / "run.json", record.begin(device="cpu", mode="full", world_size=1, from_step=1))
        with open_mirror(store, other) as successor:
            successor.note()
            successor.offer(make_checkpoint(other, 2))
        theirs = {key: store.read(key) for key in store.keys("runs")}
        mirror.offer(make_checkpoint(run, 2))
        wait_until(lambda: stop.reason)
        raise mirror.farewell("stopped by it after step 2")
    assert stop.reason == "another process that trains the run"
    assert "another process trains this run since" in str(caught.value)
    assert {key: store.read(key) for key in store.keys("runs")} == theirs


def test_a_record_whose_answer_got_lost_is_this_process_own(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Remote()
    with open_mirror(store, run) as mirror:
        store.lost_for = "runs/r/run.json"
        mirror.note()
        wait_until(lambda: "run.json could not be sent" in caplog.text)
        store.lost_for = ""
        mirror.offer(make_checkpoint(run, 1))
    assert mirror.stored == 1


def test_a_refused_key_is_no_resumable_end_where_the_newest_checkpoint_is_in_the_store(run: Path) -> None:
    store, stop = Remote(), StopRequest()
    with open_mirror(store, run, stop=stop) as mirror:
        mirror.offer(make_checkpoint(run, 1))
        wait_until(lambda: mirror.stored == 1)
        store.error = CredentialsError("the secret is wrong")
        (run / "run.json").write_text("changed")
        mirror.note()
        wait_until(lambda: stop.reason)
        assert isinstance(mirror.farewell("stopped by it after step 1"), CredentialsError)
