"""One attempt over the tiny parts as a process: `python -m tests.train.attempt FOLDER STEPS FAULT [OPTIMIZER WEIGHTS]`.

Ranks come from torchrun's variables. FAULT is slow (50 ms a batch), saves (the same, with a checkpoint every other
step), stall (no third batch), crash (rank 1 fails at its third batch), leave (a stop is requested at the fifth) or
short (rank 1 has too little memory for its third backward pass).
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ten.data.loader import StepBatch
from ten.errors import TenError
from ten.train.backward import Backward
from ten.train.checkpoint import Position
from ten.train.distributed import World, open_world
from ten.train.loop import train
from ten.train.settings import OptimizerName, Weights
from ten.train.stopping import StopRequest
from tests.train.memory_fault import fail_once
from tests.train.tiny import batches, open_training, tiny_model


def main(folder: str, steps: str, fault: str, optimizer: OptimizerName = "adamw", weights: Weights = "fp32") -> int:
    stop = StopRequest()
    with stop.handling(), open_world(torch.device("cpu"), timeout_s=20.0) as world:
        model = tiny_model(seed=world.rank, dropout=0.0)
        world.share_parameters(model)
        if fault == "short" and world.rank == 1:
            fail_once(model, at=3)
        try:
            train(
                open_training(
                    Path(folder), steps=int(steps), model=model, world=world, stop=stop,
                    checkpoint_every=2 if fault == "saves" else 0,
                    source=lambda position: faulty(position, world, fault, stop),
                    backward=Backward(("keep", "recompute")),
                    optimizer_name=optimizer, weights=weights,
                )
            )  # fmt: skip
        except TenError as error:
            print(error)  # noqa: T201
            return error.exit_code
    return 0


def faulty(position: Position, world: World, fault: str, stop: StopRequest) -> Iterator[StepBatch]:
    for number, batch in enumerate(batches(position, rank=world.rank, ranks=world.size)):
        if fault in ("slow", "saves"):
            time.sleep(0.05)
        if fault == "stall" and number == 2:
            time.sleep(60)
        if fault == "crash" and number == 2 and world.rank == 1:
            raise RuntimeError("this rank fails")
        if fault == "leave" and number == 4:
            stop.request("the test")
        yield batch


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(*sys.argv[1:]))  # type: ignore[arg-type]
