"""Bytes of activations that one token leaves in one block, tensor by tensor as `ten.model.block` and `mixer` keep them.

D width, K eigenstates, M hidden units of the MLP; `size` is that of a number in the matrix products (2 for bf16, else
4). The residual stream, the norms and everything about eigenvalues are float32. No torch.
"""

from ten.model.presets import ModelConfig

_FLOAT32 = 4


def block_kept(config: ModelConfig, size: int, device: str) -> int:
    """All that autograd keeps of a block."""
    width, units = config.width, config.mlp_width
    norms = 2 * _norm(config, device) + size * width
    mixer = _ten_mixer(config, size) if config.variant == "ten" else _paper_modulation(config, device)
    gated = 2 * size * width  # read-out and gate, multiplied
    mlp = size * units * (4 if config.variant == "ten" else 2)  # [a | b], silu(a), silu(a) ⊙ b; or a, silu(a)
    return norms + _mixer_input(config, size) + mixer + _scanned(config, size) + gated + mlp


def block_kept_by_select(config: ModelConfig, size: int, device: str) -> int:
    """What is kept of a block when all but the wide products is computed again."""
    width, units = config.width, config.mlp_width
    kept = _norm(config, device) + _mixer_input(config, size) + _scanned(config, size)
    if config.variant == "ten":
        return kept + size * (_projected(config) + 2 * units)
    return kept + _paper_modulation(config, device) + size * (width + units)


def block_working(config: ModelConfig, size: int) -> int:
    """Gradients that live at a time in a block's backward pass: at most those around the MLP's widest tensor."""
    hidden = config.mlp_width * (4 if config.variant == "ten" else 2)
    return size * hidden + 3 * _FLOAT32 * config.width


def shared_kept(config: ModelConfig, device: str) -> int:
    """Outside of the blocks: tokens, document starts, the last norm, and the gradient of the last hidden states."""
    tokens = 8 + max(config.convolution, 1)
    return tokens + _norm(config, device) + _FLOAT32 * config.width


def _norm(config: ModelConfig, device: str) -> int:
    """Input and statistics; RMSNorm on a CPU is composed of simpler operations and keeps the normalised input too."""
    if config.variant == "paper":
        return _FLOAT32 * (config.width + 2)
    return _FLOAT32 * (config.width * (2 if device == "cpu" else 1) + 1)


def _mixer_input(config: ModelConfig, size: int) -> int:
    """The norm's result, which autocast narrows anew for each product that reads it."""
    products = 1 if config.variant == "ten" or size == _FLOAT32 else 2 + config.selective
    return products * size * config.width


def _projected(config: ModelConfig) -> int:
    """Numbers that the one product into the default mixer gives."""
    return config.eigenstates * (2 + config.selective + config.input_gate) + config.width


def _scanned(config: ModelConfig, size: int) -> int:
    """States, and the eigenvalues where each token has its own: log|λ|, in the published form arg λ too."""
    own = config.eigenstates * config.selective * (1 if config.variant == "ten" else 2)
    return size * 2 * config.eigenstates + _FLOAT32 * own


def _ten_mixer(config: ModelConfig, size: int) -> int:
    """From the projection to the scan."""
    states = config.eigenstates
    factors = config.input_gate or config.input_scaling
    projected = size * _projected(config) if factors or config.convolution else 0
    convolved = 0
    if config.convolution:  # the taps' gradient needs every shifted input, the factor's the convolution's result
        convolved = size * 2 * states * (config.convolution - 1 + factors)
    decay = 2 * config.selective  # σ, 8 σ
    scaling = (3 * config.selective + 1) if config.input_scaling else 0  # expm1, its clamp, the root; with starts
    gate = 1 + config.input_scaling if config.input_gate else 0  # σ; times the scaling
    return projected + convolved + _FLOAT32 * states * (decay + scaling + gate)


def _paper_modulation(config: ModelConfig, device: str) -> int:
    """tanh for both parts, the moved decay logit, and a buffer that the logarithm of its sigmoid has on a CPU."""
    return _FLOAT32 * (3 + (device == "cpu")) * config.eigenstates * config.selective
