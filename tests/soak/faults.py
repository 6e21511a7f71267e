"""What goes wrong in a soak, and in which order: drawn from a seed, so that the same seed gives the same order."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "kill trainer", "kill packer", "kill pack", "kill store", "SIGTERM", "lose machine", "fill disk",
    "flip bits", "cut file", "flip stored bits", "cut stored object",
    "cut connection", "answer 503", "wrong bytes",
]  # fmt: skip
"""kill: SIGKILL; of the store its server, which is back after a while; of `ten pack` where it says pack. lose machine:
SIGKILL, and the disk is gone. fill disk: all but a few KiB, for seconds. flip bits, cut file: of a shard, a journal, a
manifest or a checkpoint on the machine's disk. flip stored bits, cut stored object: the same in the object store. The
others hit requests to the object store."""

FOLDER: tuple[Kind, ...] = (
    "kill trainer", "kill trainer", "kill packer", "kill pack", "SIGTERM", "fill disk", "flip bits", "cut file",
)  # fmt: skip
"""Kinds for a run over a folder, as often as they are drawn."""
OBJECTS: tuple[Kind, ...] = (
    *FOLDER, "kill store", "kill store", "lose machine", "flip stored bits", "cut stored object",
    "cut connection", "cut connection", "answer 503", "wrong bytes", "wrong bytes",
)  # fmt: skip
"""Kinds for a run over an object store."""
MOST_STEPS = 25
"""Steps of an attempt before its next fault, at most."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: Kind
    seconds: float
    """After the fault before it, or the start of the attempt, at the earliest."""
    steps: int
    """The same, of the run."""
    chance: int = field(repr=False)
    """Seeds whatever else is drawn: which file, which byte, how long."""

    @property
    def random(self) -> random.Random:
        """For what is drawn when it happens."""
        return random.Random(self.chance)


def faults(generator: random.Random, kinds: tuple[Kind, ...]) -> Iterator[Fault]:
    """Without end; half of them wait for steps and hit training, half for a moment and hit whatever goes on then."""
    while True:
        waits = generator.random() < 0.5
        yield Fault(
            kind=generator.choice(kinds),
            seconds=0.0 if waits else round(generator.uniform(0.1, 2.5), 2),
            steps=generator.randint(1, MOST_STEPS) if waits else 0,
            chance=generator.getrandbits(32),
        )
