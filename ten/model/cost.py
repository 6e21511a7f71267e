"""What a model costs, by formula: parameters, floating-point operations for a token, bytes of recurrent state.

Nothing is built: `ten plan` needs no torch. A test holds `parameters` equal to the real module's.
"""

from ten.model.presets import ModelConfig, padded_vocabulary

_FLOAT32_BYTES = 4
_INT64_BYTES = 8
_SCAN_FLOPS = 8  # one complex multiply and add
_OUTER_SCAN_FLOPS = 14  # a complex multiply (6), what a key writes (4), what a query reads (4)
_TRAINING_PASSES = 3  # a forward pass, and a backward pass of twice its work


def parameters(config: ModelConfig, vocab_size: int) -> int:
    """Trainable parameters, with the vocabulary padded as the model pads it and the tied head counted once."""
    layer = _LAYERS[config.variant](config)
    tables = (padded_vocabulary(vocab_size) + config.positions) * config.width
    return tables + config.layers * layer + _norm(config)


def matrix_parameters(config: ModelConfig) -> int:
    """Parameters in hidden matrices: those that take weight decay, and may have another optimizer and type."""
    width, states = config.width, config.eigenstates
    if config.variant == "matrix":
        mixer = width * projected(config) + width**2
    elif config.variant == "ten":
        mixer = width * (projected(config) + 2 * states)
    else:
        mixer = width * (4 * states + width + 2 * states * config.selective)
    return config.layers * (mixer + _mlp_matrices(config))


def forward_flops_per_token(config: ModelConfig, vocab_size: int) -> int:
    """Operations of one forward pass for one token: 2 for each parameter used, and the scan's.

    The embedding counts once, as the head. Position table and coupling matrices do no work for single tokens: the
    one is looked up, the others are folded into a weight once in a pass.
    """
    idle = config.positions * config.width + config.layers * _coupling(config)
    scan = config.eigenstates * (
        _OUTER_SCAN_FLOPS * state_values(config) if config.variant == "matrix" else _SCAN_FLOPS
    )
    scan *= config.layers
    return 2 * (parameters(config, vocab_size) - idle) + scan


def flops_per_token(config: ModelConfig, vocab_size: int) -> int:
    """Operations of training on one token (forward and backward); recomputed activations are not counted."""
    return _TRAINING_PASSES * forward_flops_per_token(config, vocab_size)


def state_bytes(config: ModelConfig) -> int:
    """Bytes handed on for one sequence, whatever its length: eigenstates, convolution taps and a position."""
    states = 2 * config.eigenstates * state_values(config)
    taps = max(config.convolution - 1, 0) * convolved(config)
    position = _INT64_BYTES if config.positions else 0
    return config.layers * (states + taps) * _FLOAT32_BYTES + position


def projected(config: ModelConfig) -> int:
    """Outputs of the one projection of `ten` and `matrix`."""
    decays = config.heads if config.variant == "matrix" else config.eigenstates
    return convolved(config) + config.width + decays * (config.selective + config.input_gate)


def convolved(config: ModelConfig) -> int:
    """Channels of the convolution."""
    return 4 * config.eigenstates + config.width if config.variant == "matrix" else 2 * config.eigenstates


def state_values(config: ModelConfig) -> int:
    """Numbers in each real and imaginary part of an eigenstate."""
    return config.width // config.heads if config.variant == "matrix" else 1


def _ten_layer(config: ModelConfig) -> int:
    mixer = (config.width + 1) * projected(config) + config.convolution * convolved(config) + _recurrence(config)
    return 2 * _norm(config) + mixer + _mlp_matrices(config)


def _matrix_layer(config: ModelConfig) -> int:
    width = config.width
    mixer = (width + 1) * projected(config) + config.convolution * convolved(config) + width**2
    eigenvalues = config.heads + config.eigenstates
    return 2 * _norm(config) + mixer + eigenvalues + state_values(config) + _mlp_matrices(config)


def _paper_layer(config: ModelConfig) -> int:
    width, states = config.width, config.eigenstates
    selection = (width + 1) * 2 * states if config.selective else 0
    mixer = width * 2 * states + (width + 1) * width + selection + _recurrence(config)
    return 2 * _norm(config) + mixer + _mlp_matrices(config) + config.mlp_width + width


def _mlp_matrices(config: ModelConfig) -> int:
    return (2 if config.variant == "paper" else 3) * config.width * config.mlp_width


def _recurrence(config: ModelConfig) -> int:
    """Eigenvalues, coupling and output projection."""
    return 2 * config.eigenstates + _coupling(config) + 2 * config.eigenstates * config.width


def _coupling(config: ModelConfig) -> int:
    return config.eigenstates**2 // config.heads if config.coupling else 0


def _norm(config: ModelConfig) -> int:
    return 2 * config.width if config.variant == "paper" else config.width


_LAYERS = {"ten": _ten_layer, "matrix": _matrix_layer, "paper": _paper_layer}
