"""The examination: every check to its end, bugs reported as such, secrets hidden, slow checks announced."""

import logging
import time

import pytest

from ten.doctor import examination
from ten.doctor.examination import CHECKS, examine, exit_code
from ten.doctor.finding import Finding, Verdict, fail, hide_secrets, ok, refused, skipped, warn
from ten.doctor.report import describe_end, describe_finding
from ten.doctor.subject import Subject
from ten.doctor.whereabouts import Whereabouts
from ten.errors import StoreError
from tests.doctor.conftest import MakeSubject


@pytest.fixture
def subject(make_subject: MakeSubject) -> Subject:
    """Any subject."""
    return make_subject()


def _raising(error: Exception) -> examination.Check:
    def check(_: Subject) -> Verdict:
        raise error

    return check


def test_an_error_of_ours_is_a_finding_with_its_way_out(subject: Subject) -> None:
    (found,) = examine(subject, {"x": _raising(StoreError("s3://b: is full; make room"))})
    assert found == Finding(check="x", status="fail", value="s3://b: is full", cure="make room")


def test_a_bug_is_reported_as_one_and_the_other_checks_are_made(subject: Subject) -> None:
    found = list(examine(subject, {"x": _raising(KeyError("oops")), "y": lambda _: ok("fine")}))
    assert [one.status for one in found] == ["fail", "ok"]
    assert "the check itself failed at test_examination.py:" in found[0].value
    assert "KeyError: 'oops'" in found[0].value and found[0].cure and "report" in found[0].cure


def test_an_interrupt_ends_it(subject: Subject) -> None:
    def interrupted(_: Subject) -> Verdict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(examine(subject, {"x": interrupted}))


def test_what_stands_on_a_failed_check_is_skipped(subject: Subject) -> None:
    def wanting(_: Subject) -> Verdict:
        raise AssertionError("not to be made")

    checks = {"store": _raising(StoreError("gone")), **dict.fromkeys(["plan", "hub", "disk", "checkpoint"], wanting)}
    assert [one.status for one in examine(subject, checks)] == ["fail", *["skipped"] * 4]
    checks = {"plan": _raising(StoreError("gone")), **dict.fromkeys(["GPU memory", "disk", "checkpoint"], wanting)}
    assert [one.status for one in examine(subject, checks)] == ["fail", *["skipped"] * 3]


def test_a_check_that_takes_its_time_says_so(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(examination, "_SLOW_S", 0.01)
    caplog.set_level(logging.INFO, "ten")

    def slow(_: Subject) -> Verdict:
        deadline = time.monotonic() + 10
        while "checking: slow" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        return ok("at last")

    list(examine(subject, {"slow": slow}))
    assert "checking: slow …" in caplog.text


def test_no_secret_is_told_by_whatever_a_check_says(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACES_SECRET_ACCESS_KEY", "canary-93ac57")
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "canary-token")
    monkeypatch.setenv("SHORT_KEY", "a")
    checks = {"x": _raising(ValueError("canary-93ac57\nand a canary-token")), "y": lambda _: fail("a", "canary-token")}
    first, second = examine(subject, checks)
    assert first.value.endswith("ValueError: $SPACES_SECRET_ACCESS_KEY and a $DIGITALOCEAN_TOKEN")
    assert (second.value, second.cure) == ("a", "$DIGITALOCEAN_TOKEN")
    assert hide_secrets("/opt/tokenizers", {"TEN_TOKENIZERS": "/opt/tokenizers"}) == "/opt/tokenizers"


def test_the_exit_code_is_78_where_anything_failed_and_a_warning_is_no_failure() -> None:
    def found(status: Verdict) -> Finding:
        return Finding(check="x", status=status.status, value=status.value, cure=status.cure)

    good = [found(ok("a")), found(warn("b", "c")), found(skipped("d"))]
    assert exit_code(good) == 0
    assert exit_code([*good, found(refused("e"))]) == 78


def test_people_read_a_line_a_check_and_its_cure_below() -> None:
    assert describe_finding(Finding(check="disk", status="ok", value="roomy")).startswith("ok       disk ")
    text = describe_finding(Finding(check="disk", status="fail", value="full", cure="make room"))
    assert text.splitlines()[1].strip() == "→ make room"
    found = [Finding(check="x", status=status, value="") for status in ("ok", "fail", "ok")]
    assert describe_end(found, Whereabouts(kind="host", engine="podman")) == (
        "2 ok, 1 fail; checked on a machine with podman"
    )


def test_every_check_says_what_it_is_for_in_a_few_letters() -> None:
    assert all(len(name) <= 14 for name in CHECKS)
    assert list(CHECKS).index("store") < list(CHECKS).index("plan") < list(CHECKS).index("checkpoint")
