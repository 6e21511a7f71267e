"""Source: all that a run's folder tells, gathered for one page."""

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ten.errors import DataError, SpecError
from ten.report.history import History, read_history
from ten.report.spectrum import Layer, read_spectrum
from ten.train.checkpoint_files import complete, step_of
from ten.train.run_record import RunRecord

_SAMPLES = 64
"""Most samples kept; beyond it every second step is left out."""
_LONGEST_TEXT = 2000
MOST_RUNS = len(string.ascii_uppercase)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A line of samples.jsonl: what the model wrote after a step."""

    step: int
    tokens: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """A run as the page needs it."""

    letter: str
    """Names it in charts and tables: A, B, C."""
    number: int
    record: RunRecord
    history: History
    layers: list[Layer]
    """Of the newest checkpoint; none where there is no checkpoint."""
    layers_step: int | None
    samples: list[Sample]

    @property
    def name(self) -> str:
        """The run's id."""
        return self.record.run

    @property
    def colour(self) -> int:
        """Of its lines: one of seven, told apart by the letter where there are more runs."""
        return self.number % 7

    @property
    def label(self) -> str:
        """Letter and id."""
        return f"{self.letter} {self.name}"

    def setting(self, *path: str) -> Any:
        """A setting of its job; None where it has none."""
        value: Any = self.record.spec
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def gather(number: int, folder: Path, record: RunRecord) -> RunSource:
    """What lies in a run's folder. Raises MissingInput without metrics, DataError for a damaged file.

    SpecError for a run beyond `MOST_RUNS`.
    """
    if number >= MOST_RUNS:
        raise SpecError(f"more than {MOST_RUNS} runs on a page; name fewer")
    history = read_history(folder / "metrics.jsonl")
    found = complete(folder / "checkpoints")
    model = record.spec.get("model", {})
    kind = {name: bool(model.get(name, True)) for name in ("selective", "input_gate")}
    return RunSource(
        letter=string.ascii_uppercase[number],
        number=number,
        record=record,
        history=history,
        layers=read_spectrum(found[-1] / "model.safetensors", **kind) if found else [],
        layers_step=step_of(found[-1]) if found else None,
        samples=read_samples(folder / "samples.jsonl"),
    )


def read_samples(path: Path) -> list[Sample]:
    """Samples by step, thinned; a torn last line is left out. None where there is no such file; raises DataError."""
    if not path.exists():
        return []
    steps: dict[int, list[Sample]] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                sample = msgspec.json.decode(line, type=Sample)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DataError(f"{path}: line {number} is no sample ({error}); move it away") from None
            cut = sample.text if len(sample.text) <= _LONGEST_TEXT else sample.text[:_LONGEST_TEXT] + "…"
            steps.setdefault(sample.step, []).append(msgspec.structs.replace(sample, text=cut))
            if len(steps) > _SAMPLES:
                steps = {step: steps[step] for step in sorted(steps)[::-2]}
    return [sample for step in sorted(steps) for sample in steps[step]]
