"""What a person sees: a bar on a terminal, lines in a log."""

import io
import logging
import sys

import msgspec
import pytest

from ten.train.metrics import StepMetrics
from ten.train.progress import open_progress
from tests.train.terminal import Terminal as PseudoTerminal


def metrics(step: int, seconds: float, held_out: float | None = None) -> StepMetrics:
    return StepMetrics(
        step=step, tokens=step * 1000, loss=1.5, lr=0.1, grad_norm=2.0, tokens_per_s=50.0, data_wait_s=0.0,
        rows_sha256="ab", seconds=seconds, held_out_bits_per_byte=held_out,
    )  # fmt: skip


def test_mfu_is_shown_where_it_is_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), open_progress(10_000, 0, shown=True) as progress:
        progress.show(msgspec.structs.replace(metrics(1, seconds=1.0), mfu=0.4567), None)
    assert "loss 1.500, MFU 45.7%, 50 tokens/s" in caplog.text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_comes_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), open_progress(10_000, 0, shown=True) as progress:
        for step in range(1, 11):
            progress.show(metrics(step, seconds=step * 10.0, held_out=1.25 if step == 6 else None), 75.0)
    shown = [record.getMessage() for record in caplog.records]
    assert [int(line.split()[1].strip(",")) for line in shown] == [1, 4, 6, 9, 10]
    assert shown[1] == "step 4, 4.00K of 10.00K tokens, loss 1.500, 50 tokens/s, 1m 15s left"
    assert "held-out 1.250 bits/byte" in shown[-1]


def test_on_a_terminal_there_is_a_bar_with_loss_and_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with open_progress(10_000, 2000, shown=True) as progress:
        progress.show(metrics(3, 1.0, held_out=1.25), None)
        progress.show(metrics(11, 2.0), None)
    assert "held-out 1.250 bits/byte" in terminal.getvalue()
    assert "10.0k/10.0k" in terminal.getvalue()


def test_a_terminal_of_no_size_gets_the_lines_of_a_pipe() -> None:
    code = (
        "from ten import logs; from ten.train.progress import open_progress; from tests.train.test_progress import "
        "metrics; logs.show_messages()\n"
        "with open_progress(10_000, 0, shown=True) as progress: progress.show(metrics(1, 1.0), None)\n"
        "with logs.progress('pack', 10, 'B') as bar: print('bar', bar.disable)"
    )
    with PseudoTerminal(code, columns=0, rows=0) as terminal:
        assert terminal.finish() == 0
    assert b"step 1, 1.00K of 10.00K tokens, loss 1.500" in terminal.output
    assert b"bar True" in terminal.output


def test_other_ranks_say_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for stderr in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stderr)
        with caplog.at_level(logging.INFO), open_progress(10_000, 0, shown=False) as progress:
            progress.show(metrics(1, 1.0, held_out=1.0), None)
        assert stderr.getvalue() == ""
    assert not caplog.records
