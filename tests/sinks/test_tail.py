"""A file that grows, is cut back and is written anew is told line by line."""

import json

from ten.sinks.tail import Tail
from tests.sinks.conftest import GrowingRun, line


def _steps(tail: Tail) -> list[object]:
    return [found["step"] for found in tail.new()]


def test_a_line_is_told_once(run: GrowingRun) -> None:
    tail = Tail(run.metrics, after=0)
    assert tail.new() == []
    run.add(1, 2, 3)
    assert _steps(tail) == [1, 2, 3]
    assert tail.new() == []
    run.add(4)
    assert _steps(tail) == [4]


def test_what_is_known_is_not_told_and_a_missing_file_is_empty(run: GrowingRun) -> None:
    assert Tail(run.folder / "none.jsonl", after=0).new() == []
    run.add(1, 2, 3)
    assert _steps(Tail(run.metrics, after=2)) == [3]


def test_a_torn_line_waits_for_its_end(run: GrowingRun) -> None:
    tail = Tail(run.metrics, after=0)
    text = json.dumps({"step": 1}).encode() + b"\n"
    run.metrics.write_bytes(text[:5])
    assert tail.new() == []
    with run.metrics.open("ab") as file:
        file.write(text[5:])
    assert _steps(tail) == [1]


def test_a_file_that_is_replaced_is_read_anew_and_its_old_lines_are_not_told(run: GrowingRun) -> None:
    tail = Tail(run.metrics, after=0)
    run.add(1, 2, 3)
    assert _steps(tail) == [1, 2, 3]
    run.resume(2)
    assert tail.new() == []
    run.add(3, 4)
    assert _steps(tail) == [4]


def test_a_held_out_loss_that_came_later_is_told(run: GrowingRun) -> None:
    tail = Tail(run.metrics, after=0)
    run.add(1, 2)
    assert _steps(tail) == [1, 2]
    run.log.amend(line(2, held_out=1.5))
    (amended,) = tail.new()
    assert amended["held_out_bits_per_byte"] == 1.5


def test_what_is_no_line_is_left_out(run: GrowingRun) -> None:
    run.metrics.write_bytes(b'nonsense\n[1]\n{"step": "one"}\n{"step": 5}\n\xff\n')
    assert _steps(Tail(run.metrics, after=0)) == [5]


def test_more_than_is_read_at_once_comes_bit_by_bit(run: GrowingRun) -> None:
    long = "x" * 300_000
    run.metrics.write_text("".join(json.dumps({"step": step, "pad": long}) + "\n" for step in range(1, 10)))
    tail = Tail(run.metrics, after=4)
    told: list[object] = []
    while found := _steps(tail):
        told += found
    assert told == [5, 6, 7, 8, 9]
