"""Model sizes by name, and how a job's model settings become one complete configuration.

Parameter counts in names and tests are counted with the vocabulary of GPT-2 padded to 50,304 and the head tied to
the embedding (`ten.model.cost.parameters`).
"""

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from ten.errors import SpecError
from ten.settings import nearest

Variant = Literal["ten", "matrix", "paper"]
Backend = Literal["auto", "reference", "chunked", "fused"]
"""The backends of `ten.scan`, which says so itself only after importing torch; a test holds the two equal."""
VOCABULARY_MULTIPLE = 128
_LACKS: dict[Variant, dict[str, Any]] = {
    "paper": {"input_gate": False, "convolution": 0, "input_scaling": False},
    "matrix": {"coupling": False},
}
"""Options that a variant has not, with what they then are."""
_MATRIX_HEAD_WIDTH = 128
_LEAST_MATRIX_HEADS = 4

_Positive = Annotated[int, Meta(ge=1)]
_Count = Annotated[int, Meta(ge=0)]
_Tokens = Annotated[float, Meta(gt=0)]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the shape and arithmetic of a model; nothing is derived later."""

    variant: Annotated[Variant, Meta(description="layer form: ten (default), matrix or paper (as published)")] = "ten"
    layers: Annotated[int, Meta(ge=1, description="blocks")]
    width: Annotated[int, Meta(ge=1, description="D, the residual stream")]
    eigenstates: Annotated[int, Meta(ge=1, description="K, complex recurrent states in each layer")]
    mlp_width: Annotated[int, Meta(ge=1, description="hidden units of each MLP (SwiGLU; SiLU in paper)")]
    heads: Annotated[int, Meta(ge=1, description="H, blocks of the coupling matrix; in matrix, of the states")] = 4
    coupling: Annotated[bool, Meta(description="mix the eigenstates of a head before the output projection")] = True
    selective: Annotated[bool, Meta(description="eigenvalues depend on the token")] = True
    input_gate: Annotated[bool, Meta(description="sigmoid gate on what enters the eigenstates (not in paper)")] = True
    convolution: Annotated[
        int, Meta(ge=0, description="taps of the causal convolution on the inputs; 0: none (not in paper)")
    ]
    input_scaling: Annotated[bool, Meta(description="scale inputs by sqrt(1 - |eigenvalue|^2) (not in paper)")] = True
    min_memory: Annotated[float, Meta(gt=0, description="shortest memory at the start, in tokens (not in paper)")] = 1.5
    max_memory: Annotated[float, Meta(gt=0, description="longest memory at the start, in tokens (not in paper)")]
    positions: Annotated[int, Meta(ge=0, description="rows of a learned position table; 0: none")] = 0
    backend: Annotated[Backend, Meta(description="how the scan is computed: auto, or a backend's name")] = "auto"


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file says about the model: a preset, and single fields that replace the preset's."""

    config: Annotated[str, Meta(description="preset: nano, tiny, small, medium, large or xlarge")] = "nano"
    variant: Annotated[Variant | None, Meta(description="layer form: ten, matrix or paper")] = None
    layers: Annotated[_Positive | None, Meta(description="blocks")] = None
    width: Annotated[_Positive | None, Meta(description="D, the residual stream; mlp_width follows it")] = None
    eigenstates: Annotated[_Positive | None, Meta(description="K, complex states in each layer")] = None
    mlp_width: Annotated[_Positive | None, Meta(description="hidden units of each MLP")] = None
    heads: Annotated[
        _Positive | None, Meta(description="H, blocks of the coupling matrix; in matrix, of the states")
    ] = None
    coupling: Annotated[bool | None, Meta(description="mix the eigenstates of a head")] = None
    selective: Annotated[bool | None, Meta(description="eigenvalues depend on the token")] = None
    input_gate: Annotated[bool | None, Meta(description="gate what enters the eigenstates")] = None
    convolution: Annotated[_Count | None, Meta(description="taps of the causal convolution; 0: none")] = None
    input_scaling: Annotated[bool | None, Meta(description="scale inputs by sqrt(1 - |eigenvalue|^2)")] = None
    min_memory: Annotated[_Tokens | None, Meta(description="shortest memory at the start, in tokens")] = None
    max_memory: Annotated[_Tokens | None, Meta(description="longest memory at the start, in tokens")] = None
    positions: Annotated[_Count | None, Meta(description="rows of a learned position table; 0: none")] = None
    backend: Annotated[Backend | None, Meta(description="the scan: auto, reference, chunked or fused (CUDA)")] = None


class Preset(NamedTuple):
    """A named size and the sequence length it is trained at when the job names none."""

    config: ModelConfig
    seq_len: int


def _preset(layers: int, width: int, eigenstates: int, mlp_width: int, seq_len: int) -> Preset:
    config = ModelConfig(
        layers=layers,
        width=width,
        eigenstates=eigenstates,
        mlp_width=mlp_width,
        convolution=4,
        max_memory=float(min(seq_len, 8192)),
    )
    return Preset(config, seq_len)


PRESETS: dict[str, Preset] = {
    "nano": _preset(layers=4, width=80, eigenstates=40, mlp_width=224, seq_len=512),  # 4.4M
    "tiny": _preset(layers=15, width=640, eigenstates=160, mlp_width=1664, seq_len=2048),  # 96M
    "small": _preset(layers=21, width=1152, eigenstates=288, mlp_width=3072, seq_len=8192),  # 351M
    "medium": _preset(layers=31, width=1536, eigenstates=384, mlp_width=4096, seq_len=16384),  # 847M
    "large": _preset(layers=38, width=2048, eigenstates=512, mlp_width=5504, seq_len=32768),  # 1.79B
    "xlarge": _preset(layers=45, width=2560, eigenstates=640, mlp_width=6784, seq_len=32768),  # 3.22B
}


def resolve(settings: ModelSettings) -> ModelConfig:
    """The complete configuration of a job's model.

    A field that is not set is the preset's, except that `mlp_width` follows `variant` and `width` when one of them
    is set, that a variant has none of the options it lacks, and that the heads of `variant: matrix` follow the width.

    Raises SpecError for an unknown preset, a value out of bounds, or values that do not fit together.
    """
    fields = msgspec.structs.asdict(preset(settings.config).config)
    chosen = {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}
    del chosen["config"]
    variant, width = chosen.get("variant", fields["variant"]), chosen.get("width", fields["width"])
    fields.update(_LACKS.get(variant, {}))
    if "variant" in chosen or "width" in chosen:
        fields["mlp_width"] = _mlp_width(variant, width)
    if variant == "matrix":
        fields["heads"] = max(width // _MATRIX_HEAD_WIDTH, _LEAST_MATRIX_HEADS)
    try:
        config = msgspec.convert({**fields, **chosen}, ModelConfig)
    except msgspec.ValidationError as error:
        raise SpecError(f"model settings: {error}") from error
    _check(config)
    return config


def preset(name: str) -> Preset:
    """The preset of that name. Raises SpecError, with the nearest name, when there is none."""
    if name not in PRESETS:
        raise SpecError(
            f"model.config: no preset is called {name!r}; {nearest(name, PRESETS)} (of {', '.join(PRESETS)})"
        )
    return PRESETS[name]


def default_seq_len(name: str) -> int:
    """Tokens in a row for the preset of that name. Raises SpecError when there is none."""
    return preset(name).seq_len


def padded_vocabulary(size: int) -> int:
    """Rows of the embedding for a vocabulary of that size: the next multiple of 128 (50257 → 50304)."""
    return -(-size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def _mlp_width(variant: Variant, width: int) -> int:
    """Hidden units that cost 8 D^2: 4 D for two matrices, 8 D / 3 (to a multiple of 64) for SwiGLU's three."""
    return 4 * width if variant == "paper" else -(-8 * width // (3 * 64)) * 64


def _check(config: ModelConfig) -> None:
    if config.coupling and config.eigenstates % config.heads:
        raise SpecError(
            f"model.heads: {config.heads} does not divide model.eigenstates ({config.eigenstates}); "
            "choose a divisor, or set model.coupling to false"
        )
    if config.variant == "matrix" and (config.eigenstates % config.heads or config.width % config.heads):
        raise SpecError(
            f"model.heads: {config.heads} does not divide both model.eigenstates ({config.eigenstates}) and "
            f"model.width ({config.width}), as the matrix variant needs; choose a common divisor"
        )
    if config.min_memory >= config.max_memory:
        raise SpecError(
            f"model.min_memory: {config.min_memory} must be less than model.max_memory ({config.max_memory}) tokens"
        )
    for name, absent in _LACKS.get(config.variant, {}).items():
        if getattr(config, name) != absent:
            raise SpecError(
                f"model.{name}: the {config.variant} variant has none; leave it out or choose model.variant: ten"
            )
