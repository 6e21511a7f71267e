"""The formats that a job can be rendered in."""

import importlib
from collections.abc import Callable

from ten.job import JobSpec

FORMATS = ("docker", "compose", "skypilot", "dstack")


def render(spec: JobSpec, to: str) -> str:
    """The job as one of the FORMATS writes it. Raises SpecError where it needs what only this machine has."""
    write: Callable[[JobSpec], str] = getattr(importlib.import_module(f"ten.render.{to}"), f"render_{to}")
    return write(spec)
