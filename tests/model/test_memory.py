"""The formulas of memory: what autograd really keeps, and what fits where."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ten.model import activations
from ten.model.lm import LanguageModel, Recompute
from ten.model.memory import LEVELS, Level, MemoryEstimate, ladder, training_memory
from ten.model.presets import PRESETS, ModelConfig, ModelSettings, resolve
from ten.model.recompute import _Call
from ten.scan import outer

GIB = 2**30
ROWS, TIME, VOCABULARY = 2, 300, 100
RECOMPUTE: dict[Level, Recompute] = {"keep": "nothing", "select": "cheap", "recompute": "blocks"}
CHANGES: dict[str, dict[str, Any]] = {
    "ten": {},
    "deep": {"layers": 5, "eigenstates": 48, "mlp_width": 200},
    "fixed": {"selective": False},
    "no-gate": {"input_gate": False},
    "no-convolution": {"convolution": 0},
    "no-scaling": {"input_scaling": False},
    "bare": {"selective": False, "input_gate": False, "convolution": 0, "input_scaling": False},
    "positions": {"positions": 9},
    "matrix": {"variant": "matrix"},
    "matrix-wide": {"variant": "matrix", "width": 256, "eigenstates": 96},
    "matrix-fixed": {"variant": "matrix", "selective": False},
    "matrix-bare": {
        "variant": "matrix",
        "selective": False,
        "input_gate": False,
        "convolution": 0,
        "input_scaling": False,
    },
    "paper": {"variant": "paper"},
    "paper-fixed": {"variant": "paper", "selective": False},
}


def config_of(name: str) -> ModelConfig:
    shape: dict[str, Any] = {"layers": 2, "width": 128, "eigenstates": 32, "mlp_width": 320}
    return resolve(ModelSettings(**(shape | CHANGES[name])))


class Kept:
    """Bytes of activations that a graph holds: no weights, no copies of weights, no storage twice."""

    def __init__(self, model: LanguageModel) -> None:
        shapes = {tuple(p.shape) for p in model.parameters()}
        self._weights = shapes | {shape[::-1] for shape in shapes}
        self._storages: dict[int, int] = {}
        self._alive: list[Tensor] = []

    @property
    def bytes(self) -> int:
        return sum(self._storages.values())

    def note(self, value: object) -> None:
        if isinstance(value, tuple):
            for part in value:
                self.note(part)
        elif isinstance(value, Tensor) and tuple(value.shape) not in self._weights:
            storage = value.untyped_storage()
            self._storages[storage.data_ptr()] = storage.nbytes()
            self._alive.append(value)

    def pack(self, tensor: Tensor) -> Tensor:
        self.note(tensor)
        return tensor


@contextmanager
def counting(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Count what is saved as it stands, and the inputs of what is to be computed again."""
    kept, begin = Kept(model), _Call.__init__

    def noted(self: _Call, function: Any, inputs: tuple[Any, ...]) -> None:
        kept.note(inputs)
        begin(self, function, inputs)

    monkeypatch.setattr(_Call, "__init__", noted)
    with saved_tensors_hooks(kept.pack, lambda tensor: tensor):
        yield kept


def estimate(config: ModelConfig, level: Level, **changes: Any) -> MemoryEstimate:
    fields: dict[str, Any] = {
        "seq_len": TIME, "micro_batch_rows": ROWS, "segment": 2048, "precision": "bf16", "device": "cpu",
    }  # fmt: skip
    return training_memory(config, changes.pop("vocabulary", VOCABULARY), level=level, **(fields | changes))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("level", RECOMPUTE)
@pytest.mark.parametrize("name", CHANGES)
def test_the_formula_has_the_bytes_that_autograd_keeps(
    name: str, level: Level, precision: Literal["fp32", "bf16"], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(name)
    model = LanguageModel(config, VOCABULARY)
    model.recompute = RECOMPUTE[level]
    tokens, starts = torch.randint(VOCABULARY, (ROWS, TIME + 1)), torch.rand(ROWS, TIME) < 0.02
    autocast = torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    with counting(model, monkeypatch) as kept, autocast:
        loss = model.loss(tokens, starts)
    assert loss.requires_grad
    assert estimate(config, level, precision=precision).activations == pytest.approx(kept.bytes, rel=0.1)


def test_the_chunk_of_the_matrix_form_is_the_scan_s() -> None:
    assert activations.CHUNK == outer.CHUNK


def test_large_trains_on_rows_of_32768_tokens_within_45_gib() -> None:
    fits = {level: at_length(PRESETS["large"].config, 32768, level).total for level in LEVELS}
    assert min(fits.values()) <= 45 * GIB
    assert fits["segments"] <= 45 * GIB


def test_memory_of_segments_does_not_grow_with_the_row() -> None:
    config = PRESETS["medium"].config
    short, long = (at_length(config, length, "segments") for length in (2**14, 2**20))
    assert long.total - short.total == pytest.approx(1.04 * (long.carries - short.carries), rel=0.01)
    assert long.total < 1.1 * short.total


@pytest.mark.parametrize("seq_len", [512, 2048, 32768])
def test_memory_of_segments_does_not_grow_with_the_rows(seq_len: int) -> None:
    config = PRESETS["large"].config
    some, many = (estimate(config, "segments", seq_len=seq_len, micro_batch_rows=rows) for rows in (4, 64))
    assert many == some
    assert estimate(config, "select", seq_len=seq_len, micro_batch_rows=64).total > 2 * many.total


def test_weights_and_what_goes_with_them_are_shared_by_shards() -> None:
    config = PRESETS["small"].config
    whole = estimate(config, "keep", vocabulary=50257, seq_len=16)
    part = estimate(config, "keep", vocabulary=50257, seq_len=16, shards=8)
    assert part.optimizer == -(-whole.optimizer // 8)
    gathered = part.weights - -(-whole.weights // 8)
    assert 0 < gathered < whole.weights / 2, "three blocks and the head"
    assert part.activations == whole.activations


@pytest.mark.parametrize(
    ("level", "accumulates", "are_whole"),
    [("keep", True, True), ("keep", False, False), ("segments", False, True)],
)
def test_whole_gradients_are_kept_where_shards_meet_after_several_passes(
    level: Level, accumulates: bool, are_whole: bool
) -> None:
    config, fields = PRESETS["small"].config, {"vocabulary": 50257, "seq_len": 32, "segment": 16, "micro_batch_rows": 1}
    part = estimate(config, level, shards=8, accumulates=accumulates, **fields)
    everything = estimate(config, level, **fields).gradients
    assert (part.gradients == everything) is are_whole
    assert part.gradients <= everything


def test_gradients_that_come_as_activations_go_take_no_room_beside_them() -> None:
    config = PRESETS["tiny"].config
    first = estimate(config, "keep", accumulates=False, seq_len=2048)
    assert first.gradients == max(0, estimate(config, "keep").gradients - first.activations)


def test_the_ladder_has_only_levels_that_save() -> None:
    def of(*gib: int) -> dict[Level, MemoryEstimate]:
        zero = dict.fromkeys(MemoryEstimate.__struct_fields__, 0)
        return {
            level: MemoryEstimate(**(zero | {"activations": size * GIB}))
            for level, size in zip(LEVELS, gib, strict=True)
        }

    assert ladder(of(9, 7, 5, 3)) == LEVELS
    assert ladder(of(9, 7, 5, 6)) == ("keep", "select", "recompute")
    assert ladder(of(9, 7, 8, 6)) == ("keep", "select", "segments")
    assert ladder(of(1, 1, 1, 1)) == ("keep",)


@pytest.mark.parametrize("name", PRESETS)
def test_each_level_saves_on_long_rows(name: str) -> None:
    found = {level: at_length(PRESETS[name].config, 32768, level) for level in LEVELS}
    assert ladder(found) == LEVELS
    assert all(part >= 0 for row in found.values() for part in _parts(row))
    assert all(row.allocated == sum(_parts(row)) - row.slack for row in found.values())


def _parts(row: MemoryEstimate) -> tuple[int, ...]:
    return tuple(getattr(row, name) for name in row.__struct_fields__)


def at_length(config: ModelConfig, seq_len: int, level: Level) -> MemoryEstimate:
    return estimate(config, level, vocabulary=50257, seq_len=seq_len, micro_batch_rows=1, device="cuda")
