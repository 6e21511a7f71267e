"""Sink: what an instrument must do, and which there are."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ten.errors import SpecError
from ten.sinks.tensorboard import TensorBoard
from ten.sinks.wandb import WeightsAndBiases


class Sink(Protocol):
    """An instrument. Whatever a method raises ends the sink, and nothing else."""

    def write(self, step: int, tokens: int, seconds: float, values: Mapping[str, float]) -> None:
        """Take one step's measurements; `seconds` counts from the beginning of the run."""

    def flush(self) -> None:
        """Make what was written visible."""

    def close(self) -> None:
        """Write the rest."""


Open = Callable[[Path, str, Mapping[str, Any], int], Sink]
_OPEN: dict[str, Open] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def open_sink(name: str, folder: Path, run: str, spec: Mapping[str, Any], after: int) -> Sink:
    """The sink of that name for a run whose job is `spec`; it has been told all steps up to `after`."""
    if name not in _OPEN:
        raise SpecError(f"no sink is called {name!r}")
    return _OPEN[name](folder, run, spec, after)
