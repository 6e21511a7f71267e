"""The panel in a real terminal: in place, in any width, under messages, gone with Ctrl-C."""

import re

import pytest

from ten.train.metrics import StepMetrics
from ten.train.panel import Panel, fit, sparkline
from ten.train.spent import Bill, TimeSpent
from tests.train.terminal import Terminal

PROGRAM = """
import logging, time
from ten import logs
from ten.train.metrics import StepMetrics
from ten.train.progress import open_progress
from ten.train.spent import Bill, TimeSpent

def step(number, held_out=None):
    return StepMetrics(step=number, tokens=number * 1000, loss=8.0 / number, lr=0.1, grad_norm=2.0,
        tokens_per_s=5000.0, data_wait_s=0.0, rows_sha256="ab", seconds=1.0 * number, held_out_bits_per_byte=held_out)

logs.show_messages()
bill = Bill(price_per_hour=3600.0, spent=2.0, max_cost=50.0, max_seconds=7200.0)
spent = TimeSpent()
"""
STEPS = """
try:
    with open_progress({total}, 0, shown=True, bill=bill, spent=spent) as progress:
        for number in range(1, {steps} + 1):
            spent.add("data", 0.01)
            progress.show(step(number, 1.25 if number == 2 else None), 75.0)
            if number == {message_at}:
                logging.getLogger("ten.test").warning("a message")
            time.sleep({sleep})
except KeyboardInterrupt:
    print("left")
"""


def program(*, total: int = 20_000, steps: int = 20, message_at: int = 0, sleep: float = 0.02) -> str:
    return PROGRAM + STEPS.format(total=total, steps=steps, message_at=message_at, sleep=sleep)


def test_the_last_state_stays_on_three_lines() -> None:
    with Terminal(program(), columns=100) as terminal:
        assert terminal.finish() == 0
        progress, rates, money = terminal.screen()
    assert re.fullmatch(r"step 20 100%\|█+\| 20\.0k/20\.0k tokens \[\d\d:\d\d, 1m 15s left\]", progress)
    assert re.fullmatch(r"loss 0\.400 [▁▂▃▄▅▆▇█]{20} · 5\.00K tok/s · held-out 1\.250 bits/byte", rates)
    assert re.fullmatch(r"\$[2-5]\.\d\d of \$50 · limit in 4[5-8]\.\ds · training \d+% · data \d+%", money)


def test_messages_stand_above_whole() -> None:
    with Terminal(program(message_at=10), columns=100) as terminal:
        terminal.finish()
        message, *panel = terminal.screen()
    assert message == "warning: a message"
    assert [line[:4] for line in panel[:2]] == ["step", "loss"]
    assert panel[2].startswith("$") and len(panel) == 3


@pytest.mark.parametrize("columns", [20, 61])
def test_a_narrow_terminal_shows_the_first_words_and_wraps_nothing(columns: int) -> None:
    with Terminal(program(), columns=columns) as terminal:
        terminal.finish()
        screen = terminal.screen()
    assert len(screen) == 3
    assert all(len(line) <= columns for line in screen)
    assert screen[1].startswith("loss 0.400")


def test_a_terminal_that_shrinks_is_followed() -> None:
    with Terminal(program(steps=60, total=60_000), columns=120) as terminal:
        terminal.wait_for("step 4")
        terminal.resize(40, 24)
        terminal.finish()
        screen = terminal.screen()
    assert len(screen) <= 6, screen  # a drawing that had begun at the old width may have wrapped once
    assert all(len(line) <= 40 for line in screen[-3:])
    assert "100%" in screen[-3]


def test_ctrl_c_leaves_the_panel_and_goes_on_below() -> None:
    with Terminal(program(steps=10_000), columns=100) as terminal:
        terminal.wait_for("step 2")
        terminal.type(b"\x03")
        assert terminal.finish() == 0
        screen = terminal.screen()
    assert screen[-1] == "left"
    assert screen[-4].startswith("step ")


def test_a_run_without_a_step_shows_its_bar_alone() -> None:
    with Terminal(program(steps=0), columns=80) as terminal:
        terminal.finish()
        assert len(terminal.screen()) == 1


def test_steps_are_drawn_a_few_times_a_second_whatever_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    drawn: list[float] = []
    panel = Panel(10**9, 0, Bill(), TimeSpent(lambda: now), clock=lambda: now)
    monkeypatch.setattr(panel, "_draw", drawn.append)
    for number in range(1, 10_001):
        now = number * 0.0005
        panel.show(
            StepMetrics(step=number, tokens=number, loss=1.0, lr=0.1, grad_norm=1.0, tokens_per_s=1.0, data_wait_s=0.0,
                        rows_sha256="ab", seconds=now), None,
        )  # fmt: skip
    assert 20 <= len(drawn) <= 26
    panel.close()


def test_words_fit_or_are_left_out() -> None:
    assert fit(["abc", "de", "f"], 100) == "abc · de · f"
    assert fit(["abc", "de", "f"], 8) == "abc · de"
    assert fit(["abcdef", "g"], 4) == "abcd"
    assert fit(["abc"], 0) == fit([], 9) == ""


def test_a_sparkline_has_the_shape_of_its_values() -> None:
    assert sparkline([0.0, 7.0, 3.5]) == "▁█▅"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([1.0, float("nan"), 2.0, float("inf")]) == "▁×█×"
    assert len(sparkline([float(n) for n in range(240)], 24)) == 24
    assert sparkline([]) == ""


def test_a_bill_knows_the_nearest_limit() -> None:
    bill = Bill(price_per_hour=3.6, spent=1.0, max_cost=2.0, max_seconds=500.0, since=100.0)
    assert bill.dollars(200.0) == pytest.approx(1.1)
    assert bill.seconds_left(200.0) == pytest.approx(400.0)
    assert bill.seconds_left(1000.0) == 0.0
    assert Bill(price_per_hour=3.6, spent=1.0, max_cost=2.0, since=100.0).seconds_left(200.0) == pytest.approx(900.0)
    assert Bill(since=0.0).words(50.0) == []


def test_time_is_shared_out() -> None:
    now = 0.0
    spent = TimeSpent(lambda: now)
    assert spent.shares() == {}
    with spent.on("evaluation"):
        now = 2.0
    now = 10.0
    spent.add("data", 1.0)
    assert spent.shares() == {"evaluation": 0.2, "data": 0.1}
