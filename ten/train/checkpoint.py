"""What a checkpoint is: weights, optimizer, random state, position and spec, saved and restored to the bit."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from ten.data.cursor import Cursor
from ten.errors import DataError, MissingInput, Resumable, SpecError, TenError
from ten.train import checkpoint_files, random_state, tensor_file
from ten.train.distributed import World
from ten.train.mirror import Mirror
from ten.train.named_tensors import load_optimizer, load_weights, model_tensors, optimizer_tensors
from ten.train.optimizer import Optimizer
from ten.train.random_state import RandomState
from ten.train.settings import CheckpointSettings
from ten.train.spikes import SpikeHistory
from ten.units import format_count

log = logging.getLogger(__name__)
_STATE = "state.json"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands: after `step` optimizer steps."""

    step: int = 0
    cursor: Cursor | None = None
    """Of the data; None before the first step."""
    seconds: float = 0.0
    """Time in training since the run began, over all attempts."""
    spikes: SpikeHistory = SpikeHistory()

    @property
    def tokens(self) -> int:
        """Targets trained on so far, by all ranks."""
        return self.cursor.tokens if self.cursor else 0


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of state.json."""

    position: Position
    random: RandomState
    spec: dict[str, Any]


class Checkpoints:
    """A run's folder of checkpoints, for one model and its optimizer. Rank 0 writes; every rank restores.

    `accept` is shown the spec of the checkpoint to be restored and where it lies, and raises to refuse it. `mirror`
    sends them to a store, where the run has one that is no folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        settings: CheckpointSettings,
        spec: Mapping[str, Any],
        world: World,
        accept: Callable[[Mapping[str, Any], str], object] = lambda _saved, _where: None,
        mirror: Mirror | None = None,
    ) -> None:
        self.folder = folder
        self._model = model
        self._optimizer = optimizer
        self._settings = settings
        self._spec = dict(spec)
        self._world = world
        self._accept = accept
        self._mirror = mirror
        self._last: tuple[int, Path] | None = None

    def restore(self) -> Position:
        """Go on from the newest good checkpoint as `checkpoint.resume` says; a fresh Position where there is none.

        Raises MissingInput (resume=require and none is there), SpecError (resume=never and one is there, or the model
        is another one) and DataError (all are damaged).
        """
        folder = self._choose()
        if folder is None:
            return Position()
        data = (folder / _STATE).read_bytes() if self._world.is_first else b""
        state = _decode_state(self._world.bytes_from_first(data), folder)
        self._accept(state.spec, f"checkpoint {folder}")
        load_weights(self._model, folder, self._world)
        load_optimizer(self._model, self._optimizer, folder, self._world)
        random_state.restore(state.random)
        self._last = (state.position.step, folder)
        if self._mirror is not None:
            self._mirror.offer(folder)
        log.info("going on from %s (%s tokens)", folder, format_count(state.position.tokens))
        return state.position

    def put_back(self) -> int | None:
        """Give model and optimizer the values of the newest checkpoint, all else goes on; its step, None without one.

        Every rank must ask.
        """
        if self._last is None:
            return None
        step, folder = self._last
        self._optimizer.zero_grad()  # the values come beside the old ones for a while
        load_weights(self._model, folder, self._world)
        load_optimizer(self._model, self._optimizer, folder, self._world)
        return step

    def save(self, position: Position) -> Path:
        """Write a checkpoint of this moment, delete the oldest beyond `keep_last`, return its folder.

        Rank 0 writes, and the others give it what they hold of the model. Does nothing when this step is saved already.
        Raises DiskFull.
        """
        if self._last is not None and self._last[0] == position.step:
            return self._last[1]
        folder = self.folder / checkpoint_files.folder_name(position.step)
        weights, moments = model_tensors(self._model), optimizer_tensors(self._model, self._optimizer)
        if self._world.is_first:
            self._publish(position, weights, moments)
        elif self._world.in_step:
            tensor_file.attend(weights)
            tensor_file.attend(moments)
        self._last = (position.step, folder)
        return folder

    @property
    def stored(self) -> int | None:
        """Step of the newest checkpoint in a store that is no folder, as rank 0 knows it."""
        return self._mirror.stored if self._mirror is not None else None

    def farewell(self, said: str, cure: str) -> TenError:
        """The error to leave with after a stop, once the newest checkpoint is where it is kept; `cure` goes on."""
        if self._mirror is None:
            return Resumable(f"{said}; {cure} to go on")
        return self._mirror.farewell(said)

    def _publish(self, position: Position, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        state = msgspec.json.encode(State(position=position, random=random_state.capture(), spec=self._spec))
        size = sum(t.nbytes for t in [*weights.values(), *moments.values()]) + len(state) + 2**20
        folder = checkpoint_files.publish(
            self.folder,
            position.step,
            {
                "model.safetensors": lambda: tensor_file.pieces(weights),
                "optimizer.safetensors": lambda: tensor_file.pieces(moments),
                _STATE: lambda: [state],
            },
            expected_bytes=size,
        )
        if self._mirror is not None:
            self._mirror.offer(folder)
        sent = self._mirror.held() if self._mirror is not None else ()
        checkpoint_files.retain(self.folder, self._settings.keep_last, folder, *sent)

    def _choose(self) -> Path | None:
        """The folder that rank 0 found and verified; another rank need not have it."""
        step, there = -1, b"[]"
        if self._world.is_first:
            checkpoint_files.clean(self.folder)
            step, there = self._newest_step(), msgspec.json.encode(self._steps())
        step = self._world.from_first(step)
        seen = msgspec.json.decode(self._world.bytes_from_first(there), type=set[int])
        # Rank 0 may have passed over a damaged one, which ranks on its disk see too: only what it has not seen counts.
        ahead = max((own for own in self._steps() if own not in seen), default=-1)
        if self._world.sum(torch.tensor(float(ahead > step))).item():
            whose = f"rank {self._world.rank}'s has {_step(ahead)}" if ahead > step else "another's has a later one"
            raise SpecError(
                f"{self.folder}: rank 0's machine has {_step(step)}, and {whose}; make that machine rank 0, copy the "
                "later one to rank 0's, or give the job a store that all reach"
            )
        return None if step < 0 else self.folder / checkpoint_files.folder_name(step)

    def _steps(self) -> list[int]:
        return [checkpoint_files.step_of(folder) for folder in checkpoint_files.complete(self.folder)]

    def _newest_step(self) -> int:
        if self._settings.resume == "never":
            if checkpoint_files.complete(self.folder):
                raise SpecError(f"{self.folder} holds checkpoints and checkpoint.resume is never; name another run")
            return -1
        found = checkpoint_files.find_newest(self.folder)
        if found is None and self._settings.resume == "require":
            raise MissingInput(f"{self.folder}: no checkpoint to resume from; set checkpoint.resume=auto to begin here")
        return -1 if found is None else checkpoint_files.step_of(found)


def read_state(folder: Path) -> State:
    """state.json of a checkpoint; SpecError when another version of this program wrote it, DataError if none did."""
    return _decode_state((folder / _STATE).read_bytes(), folder)


def _decode_state(data: bytes, folder: Path) -> State:
    try:
        return msgspec.json.decode(data, type=State)
    except msgspec.ValidationError as error:
        raise SpecError(f"{folder}/{_STATE} is of another version ({error}); use the version that wrote it") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{folder}/{_STATE} is damaged ({error}); delete that checkpoint to go on before it") from error


def _step(step: int) -> str:
    return "no checkpoint" if step < 0 else checkpoint_files.folder_name(step)
