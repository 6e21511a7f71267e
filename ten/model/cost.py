"""What a model costs, by formula: parameters, floating-point operations for a token, bytes of recurrent state.

Nothing is built: `ten plan` needs no torch. A test holds `parameters` equal to the real module's.
"""

from ten.model.presets import ModelConfig, padded_vocabulary

CHECKPOINT_BYTES_PER_WEIGHT = 12
"""In a checkpoint: the weight and AdamW's two moments, in float32."""
_FLOAT32_BYTES = 4
_INT64_BYTES = 8
_SCAN_FLOPS = 8  # one complex multiply and add
_TRAINING_PASSES = 3  # a forward pass, and a backward pass of twice its work


def parameters(config: ModelConfig, vocab_size: int) -> int:
    """Trainable parameters, with the vocabulary padded as the model pads it and the tied head counted once."""
    layer = _ten_layer(config) if config.variant == "ten" else _paper_layer(config)
    tables = (padded_vocabulary(vocab_size) + config.positions) * config.width
    return tables + config.layers * layer + _norm(config)


def forward_flops_per_token(config: ModelConfig, vocab_size: int) -> int:
    """Operations of one forward pass for one token: 2 for each parameter used, and the scan's.

    The embedding counts once, as the head. Position table and coupling matrices do no work for single tokens: the
    one is looked up, the others are folded into a weight once in a pass.
    """
    idle = config.positions * config.width + config.layers * _coupling(config)
    scan = config.layers * config.eigenstates * _SCAN_FLOPS
    return 2 * (parameters(config, vocab_size) - idle) + scan


def flops_per_token(config: ModelConfig, vocab_size: int) -> int:
    """Operations of training on one token (forward and backward); recomputed activations are not counted."""
    return _TRAINING_PASSES * forward_flops_per_token(config, vocab_size)


def state_bytes(config: ModelConfig) -> int:
    """Bytes handed on for one sequence, whatever its length: eigenstates, convolution taps and a position."""
    rows = 1 + max(config.convolution - 1, 0)
    position = _INT64_BYTES if config.positions else 0
    return config.layers * rows * 2 * config.eigenstates * _FLOAT32_BYTES + position


def _ten_layer(config: ModelConfig) -> int:
    width, states = config.width, config.eigenstates
    projected = 2 * states + width + states * (config.selective + config.input_gate)
    mixer = (width + 1) * projected + config.convolution * 2 * states + _recurrence(config)
    return 2 * _norm(config) + mixer + 3 * width * config.mlp_width


def _paper_layer(config: ModelConfig) -> int:
    width, states = config.width, config.eigenstates
    selection = (width + 1) * 2 * states if config.selective else 0
    mixer = width * 2 * states + (width + 1) * width + selection + _recurrence(config)
    mlp = 2 * width * config.mlp_width + config.mlp_width + width
    return 2 * _norm(config) + mixer + mlp


def _recurrence(config: ModelConfig) -> int:
    """Eigenvalues, coupling and output projection."""
    return 2 * config.eigenstates + _coupling(config) + 2 * config.eigenstates * config.width


def _coupling(config: ModelConfig) -> int:
    return config.eigenstates**2 // config.heads if config.coupling else 0


def _norm(config: ModelConfig) -> int:
    return config.width if config.variant == "ten" else 2 * config.width
