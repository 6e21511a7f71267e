"""How much device memory training takes at each level of `train.memory`, by formula: no torch, nothing is built.

The levels give the same gradient. They differ in what the backward pass finds kept and what it computes again:

    keep       everything is kept
    select     of each block the results of the wide products are kept, what lies between them is computed again
    recompute  of each block its input is kept, all else is computed again
    segments   segments of a row one after another, with the carries between them, and row after row (or as many rows
               at a time as a segment has room for): memory of one segment (as select)

The formulas count the tensors that `ten.model` gives autograd to keep; tests hold them to what is really kept.
"""

from typing import Literal

import msgspec

from ten.model.activations import block_kept, block_kept_by_select, block_working, shared_kept
from ten.model.cost import parameters, projected, state_bytes
from ten.model.presets import ModelConfig, padded_vocabulary

Level = Literal["keep", "select", "recompute", "segments"]
LEVELS: tuple[Level, ...] = ("keep", "select", "recompute", "segments")
"""Fastest first."""
_FLOAT32 = 4
_LOGITS = {"cpu": 2**22, "cuda": 2**26}
_BYTES_PER_LOGIT = 8
_CONTEXT = {"cpu": 2**27, "cuda": 2**29}
_FRAGMENTATION = 0.04
_GATHERED = 3
"""Blocks whose shared-out weights a rank has whole at a time: at work, coming and going (FSDP2 prefetches one)."""


class MemoryEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on one device when training takes the most, part by part; they add up to `total`.

    That is either when the loss is computed or when the backward pass begins in the last block, whichever is more.
    """

    weights: int
    gradients: int
    optimizer: int
    copies: int
    """Of weights in the type of the matrix products."""
    activations: int
    """Kept from the forward pass for the backward pass, and the gradient of the last hidden states."""
    block: int
    """What one block works with besides: gradients of its activations, and those computed again."""
    loss: int
    """The head's gradient, and the logits of one chunk of tokens."""
    carries: int
    """Between segments, and their gradients."""
    slack: int
    """The device's own, and holes between tensors."""

    @property
    def allocated(self) -> int:
        """All but the slack: what torch says that its tensors take."""
        return self.total - self.slack

    @property
    def total(self) -> int:
        """The sum."""
        return sum(msgspec.structs.astuple(self))


def training_memory(
    config: ModelConfig,
    vocabulary: int,
    *,
    seq_len: int,
    micro_batch_rows: int,
    level: Level,
    segment: int,
    precision: Literal["fp32", "bf16"],
    accumulates: bool = True,
    weight_bytes: int | None = None,
    optimizer_bytes: int | None = None,
    shards: int = 1,
    device: Literal["cpu", "cuda"] = "cuda",
) -> MemoryEstimate:
    """The most that one step takes on one of `shards` devices that share weights, gradients and optimizer.

    Rows of `seq_len` tokens; `accumulates`: whether gradients of earlier
    micro-batches are there already. Bytes of all weights, and of the optimizer's state: None for float32 and AdamW.
    """
    stored = _FLOAT32 * parameters(config, vocabulary) if weight_bytes is None else weight_bytes
    weights = -(-stored // shards)
    moments = -(-(2 * stored if optimizer_bytes is None else optimizer_bytes) // shards)
    size = 2 if precision == "bf16" else _FLOAT32
    time, rows = seq_len, micro_batch_rows
    if level == "segments":
        time, rows = min(segment, seq_len), min(rows_at_once(seq_len, segment), micro_batch_rows)
    tokens = rows * time
    activations = tokens * (config.layers * _kept(config, level, size, device) + shared_kept(config, device))
    passes = -(-micro_batch_rows // rows) * -(-seq_len // time)
    gradients = weights
    if shards > 1:  # a rank gathers blocks and the head, and keeps whole gradients until the last pass of a step
        gathered = min(_GATHERED, config.layers) * _matrices(config) // config.layers + _head(config, vocabulary)
        weights += _FLOAT32 * gathered
        gradients = stored if accumulates or passes > 1 else gradients
    if not accumulates and passes == 1:  # they come as activations go
        gradients = max(0, gradients - activations)
    borders = -(-seq_len // time) - 1
    carries = (borders + 2) * rows * state_bytes(config) if borders else 0
    times = [
        (0, _loss_working(config, vocabulary, tokens, size, device)),
        (_block_working(config, level, tokens, size, device), _FLOAT32 * _head(config, vocabulary)),
    ]  # when the loss is computed; in the last block's backward pass, when the head's gradient waits for the table's
    block, loss = max(times, key=sum)
    copied = {"keep": _matrices(config), "recompute": 0}.get(level, _projections(config))
    parts = {
        "weights": weights, "gradients": gradients, "optimizer": moments,
        "copies": size * copied if size < _FLOAT32 else 0, "activations": activations, "block": block, "loss": loss,
        "carries": carries,
    }  # fmt: skip
    return MemoryEstimate(**parts, slack=_CONTEXT[device] + round(_FRAGMENTATION * sum(parts.values())))


def rows_at_once(seq_len: int, segment: int) -> int:
    """Rows that level `segments` works on at a time: as many as a segment has room for, one at least."""
    return max(1, segment // seq_len)


def ladder(estimates: dict[Level, MemoryEstimate]) -> tuple[Level, ...]:
    """The levels worth trying, fastest first: each takes less than all before it."""
    useful: list[Level] = []
    for level in LEVELS:
        if not useful or estimates[level].total < estimates[useful[-1]].total:
            useful.append(level)
    return tuple(useful)


def _kept(config: ModelConfig, level: Level, size: int, device: str) -> int:
    """Bytes of a token in a block."""
    if level == "keep":
        return block_kept(config, size, device)
    return _FLOAT32 * config.width if level == "recompute" else block_kept_by_select(config, size, device)


def _loss_working(config: ModelConfig, vocabulary: int, tokens: int, size: int, device: str) -> int:
    """Last hidden states, the head's copy and gradient with what a chunk adds to it, and a chunk's logits."""
    narrow = size if size < _FLOAT32 else 0
    head = (_FLOAT32 + narrow + size) * _head(config, vocabulary)
    return head + _FLOAT32 * tokens * config.width + _BYTES_PER_LOGIT * _logits(vocabulary, tokens, device)


def _block_working(config: ModelConfig, level: Level, tokens: int, size: int, device: str) -> int:
    """Activations computed again, gradients of activations, and the gradient of the largest weight."""
    again = block_kept(config, size, device) - (0 if level == "recompute" else _kept(config, level, size, device))
    largest = config.width * config.mlp_width * (1 if config.variant == "paper" else 2)
    return tokens * (again + block_working(config, size)) + (_FLOAT32 + size) * largest


def _head(config: ModelConfig, vocabulary: int) -> int:
    return padded_vocabulary(vocabulary) * config.width


def _logits(vocabulary: int, tokens: int, device: str) -> int:
    """Logits of one chunk of `ten.model.loss`."""
    padded = padded_vocabulary(vocabulary)
    return padded * min(tokens, max(_LOGITS[device] // padded, 256))


def _matrices(config: ModelConfig) -> int:
    """Weights of all blocks; what is no matrix among them is too little to matter."""
    return parameters(config, 0) - (config.positions + 1) * config.width


def _projections(config: ModelConfig) -> int:
    """Weights of the products that select does not repeat and whose copies it keeps: those into the mixers."""
    outputs = 2 * config.eigenstates + config.width if config.variant == "paper" else projected(config)
    return config.layers * config.width * outputs
