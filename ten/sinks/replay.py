"""Replay: the process of one sink: follows metrics.jsonl and tells the sink, until the trainer has gone.

    python -m ten.sinks.replay NAME RUN_FOLDER FROM_STEP

stdin closes when the trainer leaves, however it does; then the rest is told. Where a sink stands is in its folder, so
that the next attempt goes on there.
"""

import os
import select
import signal
import sys
from pathlib import Path

import msgspec

from ten.errors import DataError, TenError
from ten.sinks.sink import Sink, open_sink
from ten.sinks.tail import Line, Tail
from ten.store.durable import write_atomically
from ten.train.context import ContextLoss
from ten.train.run_record import read_run

POLL_S = 2.0
_POSITION = "position.json"
_BY_CONTEXT = "held_out_by_context"
_AXES = ("step", "tokens", "seconds", "rows_sha256", "stored")


class Position(msgspec.Struct, frozen=True):
    """Where a sink stands."""

    step: int = 0


def replay(sink: Sink, tail: Tail, position: Path) -> None:
    """Tell everything that has come; note where the sink stands, now and then where much has."""
    while lines := tail.new():
        for line in lines:
            step, tokens, seconds = _place(line)
            sink.write(step, tokens, seconds, measurements(line))
        sink.flush()
        write_atomically(position, msgspec.json.encode(Position(step)))


def measurements(line: Line) -> dict[str, float]:
    """The numbers of a line that are no axis; a flag is 0 or 1; the loss of each bucket of context by its name."""
    numbers = {
        name: float(value) for name, value in line.items() if name not in _AXES and isinstance(value, int | float)
    }
    buckets = msgspec.convert(line.get(_BY_CONTEXT, ()), tuple[ContextLoss, ...])
    return numbers | {f"{_BY_CONTEXT}/{one.begin}-{one.end - 1}": one.bits_per_token for one in buckets}


def told_until(position: Path, from_step: int) -> int:
    """The last step that need not be told: what the sink knows, no further than where this attempt begins."""
    try:
        known = msgspec.json.decode(position.read_bytes(), type=Position).step
    except FileNotFoundError:
        return 0
    except msgspec.MsgspecError as error:
        raise DataError(f"{position}: {error}; delete the folder to tell everything anew") from None
    return min(known, from_step)


def _place(line: Line) -> tuple[int, int, float]:
    step, tokens, seconds = (line.get(name, 0) for name in ("step", "tokens", "seconds"))
    if not (isinstance(step, int) and isinstance(tokens, int) and isinstance(seconds, int | float)):
        raise DataError(f"metrics.jsonl: step {step!r} has no place")
    return step, tokens, float(seconds)


def main(name: str, run_folder: Path, from_step: int) -> int:
    """Follow until stdin closes; 0, or the exit code of what went wrong with a line on stderr."""
    folder = run_folder / name
    position = folder / _POSITION
    try:
        record = read_run(run_folder / "run.json")
        folder.mkdir(exist_ok=True)
        after = told_until(position, from_step)
        sink = open_sink(name, folder, run_folder.name, record.spec if record else {}, after)
        tail = Tail(run_folder / "metrics.jsonl", after)
        is_over = False
        while not is_over:
            is_over = bool(select.select([sys.stdin], [], [], POLL_S)[0])
            replay(sink, tail, position)
        sink.close()
    except TenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a stop is the trainer's to notice
    code = main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of a sink's library must not hold it up
