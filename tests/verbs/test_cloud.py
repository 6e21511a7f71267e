"""The verbs about rented machines, as a person types them."""

import os
import re
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.cli import main
from ten.cloud.host_files import user_data
from ten.cloud.tags import expiry_tag, run_tag
from tests.standins.digitalocean import DigitalOcean

JOBS = Path(__file__).parents[2] / "jobs"
JOB = """
name: r
mode: pretok
store: s3://my-bucket/ten
image: registry.example.com/me/ten
limits: {max_duration: 6h, max_cost: 5}
secrets: [SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY, HF_TOKEN]
resources:
  ordered: [{infra: do/tor1, instance_type: gpu-l40sx1-48gb}, {infra: do, instance_type: gpu-6000adax1-48gb}]
"""


@pytest.fixture
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an account, in a folder with a job."""
    for name in os.environ:
        if name.startswith(("DIGITALOCEAN_", "SPACES_", "AWS_", "HF_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "job.yaml").write_text(JOB)


@pytest.fixture
def account(nothing_set: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DigitalOcean]:
    """The same with an account."""
    with DigitalOcean(tmp_path / "droplets") as account:
        for name, value in account.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{account.folder}/bin:{os.environ['PATH']}")
        yield account


def test_a_dry_run_prints_the_whole_plan_without_an_account(
    nothing_set: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "job.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "gpu-l40sx1-48gb in tor1: $1.57/h (listed), stock unknown, at worst $5.00" in said
    assert "worst    $5.00" in said and "max_duration=6h, max_cost=5.0" in said
    assert "note     not set here: SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY, HF_TOKEN" in said
    assert "the store was not asked" in said and "the API was not asked" in said


def test_a_dry_run_of_a_new_checkout_prints_the_plan_and_what_is_still_lacking(
    nothing_set: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", str(JOBS / "train-pretok.yaml"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "worst    $10.15" in said
    assert "note     store 'ten-data': a droplet's disk is gone with it" in said and "note     image unset" in said


def test_a_dry_run_says_what_is_expected_and_what_does_not_fit(
    nothing_set: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "stdlib", "--set", "resources.ordered=[{infra: do, instance_type: gpu-l40sx1-48gb}]"]
    words += ["--config", "large", "--set", "train.memory=select", "--set", "data.seq_len=8192"]
    assert main(["up", "job.yaml", "--dry-run", *words, "--tokens", "1B", "--set", "limits.max_cost=90"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^expected \$\d+\.\d\d on gpu-l40sx1-48gb: \d+h \d\dm of training at an MFU of 0.40", said, re.M)
    assert "does not fit on gpu-l40sx1-48gb" in said and "would fit" in said
    assert re.search(r"h \d\dm in limits.max_duration=6h: \d attempts", said)
    assert main(["up", "job.yaml", "--dry-run", "--dataset", "stdlib", "--config", "nano"]) == 0
    assert "expected unknown on gpu-l40sx1-48gb: no MFU is known" in capsys.readouterr().out


def test_a_plan_says_which_gpus_would_be_paid_for_and_not_used(
    nothing_set: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "resources.ordered=[{infra: do, instance_type: gpu-h100x8-640gb}]"]
    words += ["--set", "limits.max_cost=500"]
    assert main(["up", "job.yaml", "--dry-run", *words]) == 0
    assert "has 8 GPUs" not in capsys.readouterr().out  # a process each
    assert main(["up", "job.yaml", "--dry-run", *words, "--set", "train.ranks=2"]) == 0
    assert "gpu-h100x8-640gb has 8 GPUs and the job trains on 2 of them" in capsys.readouterr().out


def test_a_dry_run_with_an_account_has_todays_prices_and_makes_nothing(
    account: DigitalOcean, capsys: pytest.CaptureFixture[str]
) -> None:
    account.sizes[1]["price_hourly"] = 9.99
    assert main(["up", "job.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "gpu-l40sx1-48gb in tor1: $9.99/h, in stock" in said and "(listed)" not in said
    assert "note     gpu-l40sx1-48gb costs $9.99 an hour; in 2026-08 it was $1.57" in said
    assert not account.asked("POST")


def test_nothing_is_rented_unless_somebody_says_yes(
    account: DigitalOcean, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("ten.cloud.rental.spent_on", lambda *_: 0.0)
    monkeypatch.setattr("ten.cloud.forecast.forecast", lambda *_: [])
    monkeypatch.setattr("ten.verbs.cloud.examine_before", lambda _: None)
    assert main(["up", "job.yaml"]) == 78
    assert "pass --yes" in capsys.readouterr().err
    assert not account.asked("POST")


def test_a_closed_terminal_is_a_stop_and_not_the_end_of_who_cleans_up(
    account: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("ten.cloud.rental.spent_on", lambda *_: 0.0)
    monkeypatch.setattr("ten.cloud.forecast.forecast", lambda *_: [])
    monkeypatch.setattr("ten.verbs.cloud.examine_before", lambda _: None)
    monkeypatch.setattr("ten.cloud.up.rent", _hung_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert main(["up", "job.yaml", "--yes"]) == 75
    finally:
        signal.signal(signal.SIGHUP, before)


def _hung_up(*_: object) -> None:
    signal.raise_signal(signal.SIGHUP)
    time.sleep(5)


def test_without_a_token_it_is_said_which_one_to_make(nothing_set: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps"]) == 77
    assert "droplet:create" in capsys.readouterr().err


def test_logs_and_ssh_reach_the_droplet_of_a_run(account: DigitalOcean, capfd: pytest.CaptureFixture[str]) -> None:
    machine = account.add(tags=["ten", run_tag("r")], user_data=user_data())
    account.look(machine.id)
    assert machine.computer is not None
    (machine.computer.folder / "journal").write_text("step 7\n")
    assert main(["logs", "r"]) == 0
    assert "step 7" in capfd.readouterr().out
    assert main(["ssh", "r", "echo", "hello"]) == 0
    assert "hello" in capfd.readouterr().out


def test_down_refuses_and_with_force_does_it(account: DigitalOcean, capsys: pytest.CaptureFixture[str]) -> None:
    account.add(tags=["ten", run_tag("r")])
    assert main(["down", "--store", "ten-data"]) == 74
    assert "--force destroys it all the same" in capsys.readouterr().err
    assert main(["down", "--force"]) == 0
    assert "is gone after" in capsys.readouterr().out
    assert not account.machines


def test_reap_says_what_it_did(account: DigitalOcean, capsys: pytest.CaptureFixture[str]) -> None:
    account.add(tags=["ten", expiry_tag(1)])
    assert main(["reap", "--dry-run"]) == 0
    assert "would be destroyed" in capsys.readouterr().out
    assert main(["reap"]) == 0
    assert "1 droplets destroyed" in capsys.readouterr().out
    assert main(["reap"]) == 0
    assert "nothing has outlived its lease" in capsys.readouterr().out


def test_ps_shows_what_is_billed_though_the_store_does_not_answer(
    account: DigitalOcean, capsys: pytest.CaptureFixture[str]
) -> None:
    account.add(tags=["ten", run_tag("r")])
    assert main(["ps", "--store", "s3://my-bucket/ten"]) == 0
    said = capsys.readouterr()
    assert "ten-r-1" in said.out and "the store does not say" in said.err


def test_known_hosts_are_ours_alone(account: DigitalOcean, tmp_path: Path) -> None:
    machine = account.add(tags=["ten"], user_data=user_data())
    account.look(machine.id)
    main(["ssh", "ten-r-1", "true"])
    folder = tmp_path / ".cache" / "ten"
    assert folder.is_dir() and stat.S_ISDIR(folder.stat().st_mode)
    assert not (tmp_path / ".ssh").exists()


def test_nothing_is_rented_for_a_job_that_the_doctor_finds_sick(
    account: DigitalOcean, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["up", "job.yaml", "--yes"]) == 78
    said = capsys.readouterr()
    assert "SPACES_SECRET_ACCESS_KEY" in said.out
    assert "nothing is rented" in said.err
    assert not account.asked("POST")
