"""Claims about places of files and where redirects lead."""

import threading

import pytest

from ten.calls.hangup import Hangup
from ten.calls.patience import Notices, Patience, Persistence
from ten.calls.retry import Transient
from ten.errors import ServiceUnavailable
from ten.hub.locations import Location, Locations, origin, redirect_target
from tests.hub.conftest import file

OLD = Location(url="https://files.example/x?Signature=old", at_hub=False)
NEW = Location(url="https://files.example/x?Signature=new", at_hub=False)


def _persistence(total_s: float) -> Persistence:
    return Persistence(Patience(total_s=total_s), "the file", "Check", Hangup(), Notices())


def test_a_signature_is_never_shown() -> None:
    assert "Signature" not in repr(OLD)


def test_an_old_place_is_forgotten_but_not_a_newer_one() -> None:
    locations = Locations()
    locations.learn(file(), NEW)
    locations.forget(file(), OLD)
    assert locations.find(file()) == NEW
    locations.forget(file(), NEW)
    assert locations.find(file()) is None


def test_one_thread_asks_and_another_waits_no_longer_than_its_patience() -> None:
    locations, asked, done = Locations(), threading.Event(), threading.Event()

    def ask() -> None:
        with locations.asking(file(), _persistence(60)):
            asked.set()
            done.wait(10)

    thread = threading.Thread(target=ask)
    thread.start()
    asked.wait(10)
    with locations.asking(file("other"), _persistence(0.5)):
        pass
    with pytest.raises(ServiceUnavailable, match="another thread"), locations.asking(file(), _persistence(0.5)):
        pass
    done.set()
    thread.join()


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://Hub.example/a") == origin("https://hub.example:443/b?c")
    others = ("http://hub.example", "https://hub.example:8443", "https://hub.example.evil", "https://x@evil")
    assert all(origin(url) != origin("https://hub.example") for url in others)


def test_a_redirect_is_relative_or_absolute() -> None:
    url = "https://hub.example/datasets/a/b"
    assert redirect_target(307, "/datasets/c/d", url) == "https://hub.example/datasets/c/d"
    assert redirect_target(302, "https://files.example/x?y", url) == "https://files.example/x?y"
    assert redirect_target(302, "//files.example/x", url) == "https://files.example/x"
    assert redirect_target(200, "/x", url) is None


@pytest.mark.parametrize("target", [None, "", "file:///etc/passwd", "ftp://a/b", "https://h:port/"])
def test_a_redirect_to_nowhere_is_a_broken_answer(target: str | None) -> None:
    with pytest.raises(Transient, match="without an address"):
        redirect_target(302, target, "https://hub.example/x")
