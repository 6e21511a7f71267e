"""One attempt over the tiny parts as a process of its own: `python -m tests.train.attempt FOLDER STEPS FAULT`.

Ranks come from torchrun's variables. FAULT is slow (50 ms a batch), stall (no third batch), crash (rank 1 fails at its
third batch), data (its data does), leave (a stop is requested at the fifth) or apart (a folder for each rank).
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ten.data.loader import StepBatch
from ten.errors import DataError, TenError
from ten.train.checkpoint import Position
from ten.train.distributed import World, open_world
from ten.train.loop import train
from ten.train.stopping import StopRequest
from tests.train.tiny import batches, open_training, tiny_model


def main(folder: str, steps: str, fault: str) -> int:
    try:
        run(Path(folder), int(steps), fault)
    except TenError as error:
        print(error)  # noqa: T201
        return error.exit_code
    return 0


def run(folder: Path, steps: int, fault: str) -> None:
    stop = StopRequest()
    with stop.handling(), open_world(torch.device("cpu"), timeout_s=20.0) as world:
        model = tiny_model(seed=world.rank, dropout=0.0)
        world.share([*model.parameters(), *model.buffers()])
        train(
            open_training(
                folder / f"rank{world.rank}" if fault == "apart" else folder,
                steps=steps, model=model, world=world, stop=stop, checkpoint_every=0,
                source=lambda position: faulty(position, world, fault, stop),
            )
        )  # fmt: skip


def faulty(position: Position, world: World, fault: str, stop: StopRequest) -> Iterator[StepBatch]:
    for number, batch in enumerate(batches(position, rank=world.rank, ranks=world.size)):
        if fault == "slow":
            time.sleep(0.05)
        if fault == "stall" and number == 2:
            time.sleep(60)
        if fault == "crash" and number == 2 and world.rank == 1:
            raise RuntimeError("this rank fails")
        if fault == "data" and number == 2 and world.rank == 1:
            raise DataError("this rank has no data")
        if fault == "leave" and number == 4:
            stop.request("the test")
        yield batch


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(*sys.argv[1:]))
