"""What a job file says about training (`train:`) and about checkpoints (`checkpoint:`)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ten.errors import SpecError
from ten.model.memory import Level
from ten.settings import Positive
from ten.train.interval import Interval
from ten.units import named, parse_count

Schedule = Literal["wsd", "cosine", "constant"]
Rate = Annotated[float, Meta(gt=0, le=1)]
SinkName = Literal["tensorboard", "wandb"]
Precision = Literal["auto", "fp32", "bf16"]
SpikePolicy = Literal["skip", "rollback", "ignore"]
Memory = Literal["auto"] | Level
DEFAULT_SEGMENT = 2048
OptimizerName = Literal["adamw", "muon", "adamw8bit"]
Weights = Literal["fp32", "bf16"]
Sharding = Literal["auto", "replicate", "shard"]
Compile = bool | Literal["auto", "on", "off"]
"""YAML reads a plain on and off as true and false."""


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Length, batch, optimizer and evaluation of one run."""

    epochs: Annotated[float, Meta(gt=0, description="Passes over the training data; yields to tokens and steps.")] = 1.0
    tokens: Annotated[
        str | int | None, Meta(description='Training tokens, such as "10B" or 300000; yields to steps.')
    ] = None
    steps: Annotated[Positive | None, Meta(description="Optimizer steps; decides before tokens and epochs.")] = None
    micro_batch_rows: Annotated[int, Meta(ge=1, description="Rows in one forward and backward pass of one GPU.")] = 8
    gradient_accumulation: Annotated[
        int, Meta(ge=1, description="Micro-batches of one GPU summed into one optimizer step.")
    ] = 1
    precision: Annotated[
        Precision, Meta(description="Matrix products in bf16 or fp32. auto: bf16 on CUDA, else fp32.")
    ] = "auto"
    memory: Annotated[
        Memory,
        Meta(
            description="What the backward pass finds kept: keep (all), select (results of wide products), recompute "
            "(inputs of blocks), segments (of one segment at a time); auto: the fastest that fits."
        ),
    ] = "auto"
    segment: Annotated[Positive, Meta(description="Tokens worked on at a time at train.memory: segments.")] = (
        DEFAULT_SEGMENT
    )
    weights: Annotated[
        Weights,
        Meta(
            description="Hidden matrices kept in fp32, or in bf16 with stochastic rounding, which needs bf16 matrix "
            "products; tables, norms, biases and eigenvalues are fp32."
        ),
    ] = "fp32"
    optimizer: Annotated[
        OptimizerName,
        Meta(
            description="For hidden matrices: adamw; muon; adamw8bit, with moments in 8 bits (extra lowbit). AdamW for "
            "all else."
        ),
    ] = "adamw"
    compile: Annotated[
        Compile,
        Meta(
            description="Blocks compiled beside training, and used where that is faster. auto: on for CUDA, else off."
        ),
    ] = "auto"
    learning_rate: Annotated[
        Rate | None, Meta(description="Peak learning rate; unset: chosen from the model's width.")
    ] = None
    min_lr_ratio: Annotated[float, Meta(ge=0, le=1, description="Learning rate at the end as a part of the peak.")] = (
        0.1
    )
    warmup: Annotated[
        float | int | str, Meta(description='Linear warm-up: part of all tokens (0.02) or tokens ("10M").')
    ] = 0.02
    schedule: Annotated[
        Schedule, Meta(description="wsd: warm-up, stable, linear decay; cosine; constant after the warm-up.")
    ] = "wsd"
    decay: Annotated[float, Meta(ge=0, le=1, description="wsd only: last part of all tokens that decays.")] = 0.2
    weight_decay: Annotated[
        float, Meta(ge=0, le=1, description="Weight decay of matrices; eigenvalues, norms and biases have none.")
    ] = 0.1
    beta1: Annotated[float, Meta(ge=0, lt=1, description="AdamW decay of the gradient's running mean.")] = 0.9
    beta2: Annotated[float, Meta(ge=0, lt=1, description="AdamW decay of the squared gradient's running mean.")] = 0.95
    z_loss: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Weight of the squared log-normaliser in the gradient (PaLM: 1e-4); not in the loss.",
        ),
    ] = 0.0
    clip_norm: Annotated[float, Meta(ge=0, description="Longest gradient allowed, in its 2-norm; 0 clips nothing.")] = (
        1.0
    )
    spikes: Annotated[
        SpikePolicy,
        Meta(
            description="A step whose loss or gradient norm is beyond mean + 6 deviations of the last 128 (a norm: and "
            "4 times the mean): skip changes no weight by it; rollback goes back to the last checkpoint's weights "
            "after three such; ignore takes it."
        ),
    ] = "skip"
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="Seed of the initial weights.")] = 0
    device: Annotated[str, Meta(description="auto (CUDA when there is one), cpu, cuda or cuda:N.")] = "auto"
    ranks: Annotated[
        Literal["auto"] | Positive,
        Meta(
            description="Processes that train together on this machine, a GPU each; auto: one for every GPU it shows, "
            "one without GPUs. Under torchrun that decides."
        ),
    ] = "auto"
    shard: Annotated[
        Sharding,
        Meta(
            description="replicate: every rank has the whole model; shard: the ranks share out weights, gradients and "
            "moments (FSDP2); auto: shard where all of them would take more than 60% of a GPU's memory."
        ),
    ] = "auto"
    threads: Annotated[Positive | None, Meta(description="CPU threads of torch; unset: torch's own choice.")] = None
    sinks: Annotated[
        tuple[SinkName, ...],
        Meta(
            description="Instruments that are told what metrics.jsonl says: tensorboard, wandb; they hold nothing up."
        ),
    ] = ()
    evaluate_every: Annotated[
        str | int, Meta(description='Held-out loss every so many steps (500) or so often ("30m"); 0: only at the end.')
    ] = 0
    evaluate_tokens: Annotated[
        str | int, Meta(description='Held-out tokens used for one evaluation, at most ("2M").')
    ] = "2M"
    prompts: Annotated[
        tuple[str, ...], Meta(description="Texts that the model goes on with at every evaluation; see samples.jsonl.")
    ] = ()
    sample_tokens: Annotated[int, Meta(ge=1, description="Tokens of each such sample, at most.")] = 64

    def __post_init__(self) -> None:
        """Refuse values whose form is wrong, with the name of the field."""
        named("train.evaluate_every", lambda: Interval.parse(self.evaluate_every))
        _positive_count("train.evaluate_tokens", self.evaluate_tokens)
        if self.tokens is not None:
            _positive_count("train.tokens", self.tokens)
        named("train.warmup", lambda: warmup_tokens(self.warmup, 10**9))
        if self.weights == "bf16" and self.precision == "fp32":
            raise SpecError("train.weights: bf16 needs bf16 matrix products; set train.precision to bf16 or auto")


class CheckpointSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When checkpoints are written, how many stay, and whether a run goes on from them."""

    every: Annotated[
        str | int, Meta(description='Steps (500) or time ("10m") between checkpoints; 0: only at stops and the end.')
    ] = "10m"
    keep_last: Annotated[int, Meta(ge=1, description="Complete checkpoints kept; older ones are deleted.")] = 3
    resume: Annotated[
        Literal["auto", "require", "never"],
        Meta(description="auto: go on if a checkpoint is there; require: fail if none is; never: fail if one is."),
    ] = "auto"

    def __post_init__(self) -> None:
        """Refuse an interval whose form is wrong, with the name of the field."""
        named("checkpoint.every", lambda: Interval.parse(self.every))


def warmup_tokens(warmup: float | int | str, total_tokens: int) -> int:
    """Tokens of warm-up: a number below 1 is a part of `total_tokens`, anything else a count; never above the total."""
    if isinstance(warmup, int | float) and 0 <= warmup < 1:
        return round(warmup * total_tokens)
    return min(parse_count(warmup), total_tokens)


def _positive_count(field: str, value: str | int) -> None:
    if named(field, lambda: parse_count(value)) < 1:
        raise SpecError(f"{field}: {value!r} is no count of tokens; write 300000, 1.5M or 10B")
