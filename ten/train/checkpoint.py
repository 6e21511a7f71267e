"""What a checkpoint is: weights, optimizer, random state, position and spec, saved and restored to the bit."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ten.data.cursor import Cursor
from ten.errors import MissingInput, Resumable, SpecError, TenError
from ten.train import checkpoint_files, random_state, tensor_file
from ten.train.distributed import World
from ten.train.mirror import Mirror
from ten.train.optimizer import Optimizer
from ten.train.random_state import RandomState
from ten.train.settings import CheckpointSettings

log = logging.getLogger(__name__)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands: after `step` optimizer steps."""

    step: int = 0
    cursor: Cursor | None = None
    """Of the data; None before the first step."""
    seconds: float = 0.0
    """Time in training since the run began, over all attempts."""

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
        state = read_state(folder)
        self._accept(state.spec, f"checkpoint {folder}")
        load_weights(self._model, folder)
        self._load_optimizer(folder)
        random_state.restore(state.random)
        self._last = (state.position.step, folder)
        if self._mirror is not None:
            self._mirror.offer(folder)
        log.info("going on from %s (%d tokens)", folder, state.position.tokens)
        return state.position

    def save(self, position: Position) -> Path:
        """Write a checkpoint of this moment, delete the oldest beyond `keep_last`, return its folder.

        Does nothing on ranks other than 0, nor when this step is saved already. Raises DiskFull.
        """
        if self._last is not None and self._last[0] == position.step:
            return self._last[1]
        folder = self.folder / checkpoint_files.folder_name(position.step)
        if self._world.is_first:
            self._publish(position)
        self._last = (position.step, folder)
        return folder

    @property
    def stored(self) -> int | None:
        """Step of the newest checkpoint in a store that is no folder, as rank 0 knows it."""
        return self._mirror.stored if self._mirror is not None else None

    def farewell(self, said: str) -> TenError:
        """The error to leave with after a stop, once the newest checkpoint is where it is kept."""
        if self._mirror is None:
            return Resumable(f"{said}; run the same command again to go on")
        return self._mirror.farewell(said)

    def _publish(self, position: Position) -> None:
        weights = model_tensors(self._model)
        moments = optimizer_tensors(self._model, self._optimizer)
        state = msgspec.json.encode(State(position=position, random=random_state.capture(), spec=self._spec))
        size = sum(t.nbytes for t in [*weights.values(), *moments.values()]) + len(state) + 2**20
        folder = checkpoint_files.publish(
            self.folder,
            position.step,
            {
                "model.safetensors": lambda: tensor_file.pieces(weights),
                "optimizer.safetensors": lambda: tensor_file.pieces(moments),
                "state.json": lambda: [state],
            },
            expected_bytes=size,
        )
        if self._mirror is not None:
            self._mirror.offer(folder)
        sent = self._mirror.held() if self._mirror is not None else ()
        checkpoint_files.retain(self.folder, self._settings.keep_last, folder, *sent)

    def _choose(self) -> Path | None:
        """The folder that rank 0 found and verified, on every rank."""
        step = -1
        if self._world.is_first:
            checkpoint_files.clean(self.folder)
            step = self._newest_step()
        step = self._world.from_first(step)
        if step < 0:
            return None
        folder = self.folder / checkpoint_files.folder_name(step)
        if not (folder / checkpoint_files.SEAL).is_file():
            raise MissingInput(
                f"{folder}: rank 0 goes on from this checkpoint, and rank {self._world.rank}'s machine has not got it; "
                "run the same command with rank 0's machine alone until the checkpoint is in the store, or copy it here"
            )
        return folder

    def _newest_step(self) -> int:
        if self._settings.resume == "never":
            if checkpoint_files.complete(self.folder):
                raise SpecError(f"{self.folder} holds checkpoints and checkpoint.resume is never; name another run")
            return -1
        found = checkpoint_files.find_newest(self.folder)
        if found is None and self._settings.resume == "require":
            raise MissingInput(f"{self.folder}: no checkpoint to resume from; set checkpoint.resume=auto to begin here")
        return -1 if found is None else checkpoint_files.step_of(found)

    def _load_optimizer(self, folder: Path) -> None:
        names = _optimizer_names(self._model, self._optimizer)
        index = {name: number for number, name in enumerate(names)}
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in load_file(folder / "optimizer.safetensors").items():
            kind, _, name = key.partition("/")
            if name not in index:
                raise SpecError(f"{folder}: the optimizer has a state for {name}, which this model lacks; {_CURE}")
            state.setdefault(index[name], {})[kind] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})


def read_state(folder: Path) -> State:
    """state.json of a checkpoint; SpecError when another version of this program wrote it."""
    try:
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=State)
    except msgspec.ValidationError as error:
        raise SpecError(
            f"{folder}/state.json is of another version ({error}); use the version that wrote it"
        ) from error


def load_weights(model: nn.Module, folder: Path) -> None:
    """Copy a checkpoint's (or an export's) model.safetensors into `model`.

    Raises SpecError that names the first tensor that is missing, unknown or of another shape.
    """
    stored = load_file(folder / "model.safetensors")
    own = model_tensors(model)
    for name in sorted(own.keys() ^ stored.keys()):
        lacks = "the model lacks" if name in stored else "the checkpoint lacks"
        raise SpecError(f"{folder}: {lacks} {name}; {_CURE}")
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != stored[name].shape:
                shapes = f"{tuple(stored[name].shape)} in the checkpoint, {tuple(tensor.shape)} in the model"
                raise SpecError(f"{folder}: {name} is {shapes}; {_CURE}")
            tensor.copy_(stored[name])


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters (a shared one once, under its first name) and persistent buffers, by name; not copies."""
    aliases = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    first = dict(model.named_parameters())
    return {name: tensor for name, tensor in model.state_dict().items() if name in first or name not in aliases}


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors named "exp_avg/<parameter>"; not copies."""
    names = _optimizer_names(model, optimizer)
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{kind}/{names[number]}": tensor for number, own in state.items() for kind, tensor in own.items()}


_CURE = "the model settings differ from the run's: use the same ones, or begin a new run"


def _optimizer_names(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """Names of the optimizer's parameters in the order in which its state_dict numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters: Iterable[nn.Parameter] = (p for group in optimizer.param_groups for p in group["params"])
    return [names[id(parameter)] for parameter in parameters]
