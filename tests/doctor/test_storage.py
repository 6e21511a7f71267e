"""Store checks against a real server behind a faulty network, and against folders: each fires, and leaves nothing."""

from pathlib import Path

import pytest

from ten.doctor.examination import examine
from ten.doctor.finding import Finding
from ten.doctor.storage import check_clock, check_keys, check_round_trip, check_second_write
from ten.doctor.subject import Subject
from tests.doctor.conftest import MakeSubject
from tests.standins.s3 import CANARIES, S3Stand
from tests.standins.s3_faults import Fault

STORE_CHECKS = {"store": check_round_trip, "second write": check_second_write, "clock": check_clock}


def _examined(subject: Subject) -> dict[str, Finding]:
    found = list(examine(subject, STORE_CHECKS))
    assert not [canary for canary in CANARIES for finding in found if canary in f"{finding.value}{finding.cure}"]
    return {finding.check: finding for finding in found}


def test_a_good_store_passes_and_nothing_stays(make_subject: MakeSubject, address: str, stand: S3Stand) -> None:
    subject = make_subject(store=address)
    found = _examined(subject)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert "8.0 MiB there and back with equal sha256" in found["store"].value
    assert subject.upload_bytes_per_s and not subject.store_failed
    assert stand.keys(address.removeprefix("s3://").partition("/")[0]) == []


def test_a_good_folder_passes_and_is_gone_again(make_subject: MakeSubject, tmp_path: Path) -> None:
    found = _examined(make_subject(store=str(tmp_path / "deep" / "store")))
    assert {finding.status for finding in found.values()} == {"ok"}
    assert not (tmp_path / "deep").exists()


def test_a_folder_that_is_in_use_stays_as_it_is(make_subject: MakeSubject, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "theirs").write_text("x")
    _examined(make_subject())
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["theirs"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("SignatureDoesNotMatch", "refuses the signature"),
        ("InvalidAccessKeyId", "does not know the key in SPACES_ACCESS_KEY_ID"),
        ("AccessDenied", "does not let the key in SPACES_ACCESS_KEY_ID do this"),
        ("RequestTimeTooSkewed", "clock is off"),
    ],
)
def test_a_refusal_fails_with_the_stores_reason_and_what_builds_on_it_is_skipped(
    make_subject: MakeSubject, address: str, stand: S3Stand, code: str, told: str
) -> None:
    stand.add(Fault("refuse", code=code, count=-1))
    found = _examined(make_subject(store=address))
    assert found["store"].status == "fail" and told in found["store"].value and found["store"].cure
    assert found["second write"].status == found["clock"].status == "skipped"


def test_a_bucket_that_is_not_there_fails(make_subject: MakeSubject, address: str) -> None:
    found = _examined(make_subject(store="s3://ten-nobodys-bucket/x"))
    assert found["store"].status == "fail" and "no bucket 'ten-nobodys-bucket'" in found["store"].value


def test_bytes_that_come_back_changed_fail(make_subject: MakeSubject, address: str, stand: S3Stand) -> None:
    stand.set(checks_md5=False)
    stand.add(Fault("wrong_bytes", match="^GET .*probe", count=-1))
    found = _examined(make_subject(store=address))
    assert found["store"].status == "fail"


def test_a_service_without_conditional_writes_is_a_warning(
    make_subject: MakeSubject, address: str, stand: S3Stand
) -> None:
    stand.set(conditional=False)
    found = _examined(make_subject(store=address))
    assert found["second write"].status == "warn" and "If-None-Match" in found["second write"].value
    assert found["store"].status == "ok"


@pytest.mark.parametrize(("ahead_s", "side"), [(900.0, "behind"), (-900.0, "ahead of")])
def test_a_clock_that_is_off_fails_though_the_store_bears_it(
    make_subject: MakeSubject, address: str, stand: S3Stand, ahead_s: float, side: str
) -> None:
    stand.set(ahead_s=ahead_s)
    found = _examined(make_subject(store=address))
    assert found["clock"].status == "fail"
    assert (
        f"{side} the store's" in found["clock"].value
        and found["clock"].cure == "set the clock: timedatectl set-ntp true"
    )


def test_a_slow_store_is_measured_as_one(make_subject: MakeSubject, address: str, stand: S3Stand) -> None:
    stand.set(throttle=16 * 2**20)
    subject = make_subject(store=address)
    assert check_round_trip(subject).status == "ok"
    assert subject.upload_bytes_per_s is not None and subject.upload_bytes_per_s < 17 * 2**20


def test_keys_are_told_by_name(make_subject: MakeSubject, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_keys(make_subject(store=address))
    assert (found.status, found.value) == ("ok", "set: SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY")
    found = check_keys(make_subject("secrets=[HF_TOKEN]", store=address))
    assert found.status == "warn" and "not set: HF_TOKEN" in found.value
    monkeypatch.setenv("HF_TOKEN", "<your token here>")
    found = check_keys(make_subject("secrets=[HF_TOKEN]", store=address))
    assert found.status == "fail" and "HF_TOKEN" in found.value and "<your" not in found.value
    monkeypatch.delenv("SPACES_SECRET_ACCESS_KEY")
    (refused,) = examine(make_subject(store=address), {"keys": check_keys})
    assert refused.status == "fail" and "SPACES_SECRET_ACCESS_KEY is not set" in refused.value


def test_a_folder_needs_no_keys(make_subject: MakeSubject) -> None:
    assert check_keys(make_subject()).status == "skipped"
