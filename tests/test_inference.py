"""What is said while a score takes its time."""

import logging
import time

import pytest

from ten import inference, logs


def test_a_long_evaluation_says_what_it_does_and_how_far_it_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_SLOW_S", 0.0)
    monkeypatch.setattr(logs, "REPORT_S", 0.01)
    with caplog.at_level(logging.INFO), inference._shown(2000) as scored:
        scored(400)
        scored(300)
        deadline = time.monotonic() + 10
        while "eval: 700 of 2.00K tokens scored" not in caplog.messages:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert "scoring 2.00K tokens of held-out text" in caplog.messages
