"""Claims about ending what another thread waits for."""

import socket
import threading

import pytest

from ten.calls.hangup import Hangup, HungUp


def test_a_read_that_blocks_ends() -> None:
    here, there = socket.socketpair()
    with here, there:
        hangup = Hangup()
        hangup.hold(here)
        threading.Timer(0.1, hangup.cut).start()
        here.settimeout(10)
        assert here.recv(1) == b""


def test_what_was_cut_before_it_began_does_not_begin() -> None:
    hangup = Hangup()
    hangup.cut()
    here, there = socket.socketpair()
    with here, there, pytest.raises(HungUp):
        hangup.hold(here)
    with pytest.raises(HungUp):
        hangup.pause(10)
    with pytest.raises(HungUp):
        hangup.check()


def test_a_connection_that_was_let_go_is_left_alone() -> None:
    here, there = socket.socketpair()
    with here, there:
        hangup = Hangup()
        hangup.hold(here)
        hangup.hold(None)
        hangup.cut()
        there.sendall(b"x")
        assert here.recv(1) == b"x"
