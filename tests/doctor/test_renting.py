"""Renting checks against the stand-in of DigitalOcean's API: good and bad tokens, stock, prices."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ten.doctor.examination import examine
from ten.doctor.finding import Finding
from ten.doctor.renting import check_lease_token, check_renting
from ten.doctor.subject import Subject
from tests.doctor.conftest import MakeSubject
from tests.standins.digitalocean import DigitalOcean


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DigitalOcean]:
    """An account whose tokens are set."""
    with DigitalOcean(tmp_path / "droplets") as account:
        for name, value in account.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TEN_PATIENCE", "3s")
        yield account


def _examined(subject: Subject) -> dict[str, Finding]:
    checks = {"renting": check_renting, "lease token": lambda _: check_lease_token()}
    found = {finding.check: finding for finding in examine(subject, checks)}
    tokens = [os.environ[name] for name in os.environ if name.startswith("DIGITALOCEAN_") and "TOKEN" in name]
    assert not [token for token in tokens for one in found.values() if token in f"{one.value}{one.cure}"]
    return found


def test_without_a_token_nothing_is_asked(make_subject: MakeSubject) -> None:
    assert {one.status for one in _examined(make_subject()).values()} == {"skipped"}


def test_good_tokens_give_price_and_stock(make_subject: MakeSubject, account: DigitalOcean) -> None:
    found = _examined(make_subject("resources.ordered=[{infra: do/tor1, instance_type: gpu-l40sx1-48gb}]"))
    assert {one.status for one in found.values()} == {"ok"}
    assert "gpu-l40sx1-48gb in tor1 $" in found["renting"].value


def test_a_machine_that_there_is_not_fails(make_subject: MakeSubject, account: DigitalOcean) -> None:
    found = _examined(make_subject("resources.ordered=[{infra: do/tor1, instance_type: gpu-l40x1-48gb}]"))
    assert found["renting"].status == "fail" and "no such size" in found["renting"].value


def test_a_bad_token_fails(make_subject: MakeSubject, account: DigitalOcean, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "dop_v1_canary_of_a_bad_token")
    found = _examined(make_subject())
    assert found["renting"].status == "fail" and "DIGITALOCEAN_TOKEN" in found["renting"].value


def test_a_lease_token_that_is_missing_or_too_powerful_fails(
    make_subject: MakeSubject, account: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITALOCEAN_LEASE_TOKEN", os.environ["DIGITALOCEAN_TOKEN"])
    assert _examined(make_subject())["lease token"].status == "fail"
    monkeypatch.delenv("DIGITALOCEAN_LEASE_TOKEN")
    assert "is not set" in _examined(make_subject())["lease token"].value
