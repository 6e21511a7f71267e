"""Events: restarts, stops, kills and spikes of a run, where they lie and what happened, in order."""

import re
from dataclasses import dataclass
from typing import Literal

from ten.report.history import History, Position
from ten.train.run_record import Attempt, RunRecord

_LONGEST_REASON = 300
_FLAGS = {"skipped": "spike: step skipped", "rolled_back": "weights put back"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run."""

    at: Position
    what: str
    mark: Literal["line", "tick"] | None
    """How charts show it, if they do."""


def find_events(record: RunRecord, history: History) -> list[Event]:
    """The events of a run, by step."""
    events: list[Event] = []
    for number, attempt in enumerate(record.attempts):
        begun = history.at_step(attempt.from_step)
        if number:
            events.append(Event(begun, f"restart on {_place(attempt)}", "line"))
        is_last = number + 1 == len(record.attempts)
        if attempt.ended is not None:
            step = min(attempt.to_step or attempt.from_step, int(history.steps[-1]))
            events.append(Event(history.at_step(step), ended(attempt, record.run), None))
        elif not is_last:
            kept = history.at_step(record.attempts[number + 1].from_step)
            events.append(Event(kept, f"killed; what it did after step {kept.step} was lost", None))
    for name, places in history.marks.items():
        events += [Event(place, _FLAGS[name], "tick") for place in places]
    return sorted(events, key=lambda event: event.at.step)


def ended(attempt: Attempt, run: str) -> str:
    """Why an attempt of a run ended, in a line; files in the run's folder are named from there on."""
    if attempt.ended is None:
        return "running, or killed"
    reason = re.sub(rf"(?<![^\s'\"(])/[^\s:'\"]*/{re.escape(run)}/", "", attempt.reason or "")
    lines = reason.splitlines() or ["ended"]
    return lines[0] if len(lines[0]) <= _LONGEST_REASON else lines[0][:_LONGEST_REASON] + "…"


def _place(attempt: Attempt) -> str:
    return attempt.device if attempt.world_size == 1 else f"{attempt.world_size} × {attempt.device}"
