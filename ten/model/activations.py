"""Bytes of activations that one token leaves in one block, tensor by tensor as `ten.model.block` and `mixer` keep them.

D width, K eigenstates, H heads, M hidden units of the MLP; `size` is that of a number in the matrix products (2 for
bf16, else 4). The residual stream, the norms and everything about eigenvalues are float32. No torch.
"""

from collections.abc import Callable

from ten.model.cost import convolved, projected, state_values
from ten.model.presets import ModelConfig, Variant

CHUNK = 64
"""Steps in a chunk of the matrix form's scan (`ten.scan.outer`, which imports torch)."""
_FLOAT32 = 4


def block_kept(config: ModelConfig, size: int, device: str) -> int:
    """All that autograd keeps of a block."""
    units = config.mlp_width
    norms = 2 * _norm(config, device) + size * config.width
    mlp = size * units * (2 if config.variant == "paper" else 4)  # a, silu(a); or [a | b], silu(a), silu(a) ⊙ b
    return norms + _mixer_input(config, size) + _MIXERS[config.variant](config, size, device) + mlp


def block_kept_by_select(config: ModelConfig, size: int, device: str) -> int:
    """What is kept of a block when all but the wide products is computed again."""
    width, units = config.width, config.mlp_width
    kept = _norm(config, device) + _mixer_input(config, size) + _scanned(config, size)
    if config.variant == "paper":
        return kept + _paper_modulation(config, device) + size * (width + units)
    return kept + size * (projected(config) + 2 * units)


def block_working(config: ModelConfig, size: int) -> int:
    """Gradients that live at a time in a block's backward pass: at most those around the MLP's widest tensor."""
    hidden = size * config.mlp_width * (2 if config.variant == "paper" else 4)
    if config.variant == "matrix":  # products of queries and keys and their weights, with gradients
        hidden = max(hidden, config.heads * CHUNK * 2 * (_FLOAT32 + size))
    return hidden + 3 * _FLOAT32 * config.width


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
    products = 2 + config.selective if config.variant == "paper" and size < _FLOAT32 else 1
    return products * size * config.width


def _scanned(config: ModelConfig, size: int) -> int:
    """States, and the eigenvalues where each token has its own: log|λ|, in the published form arg λ too.

    In the matrix form what is read from the states, in place of them.
    """
    if config.variant == "matrix":
        return size * config.width
    own = config.eigenstates * config.selective * (1 if config.variant == "ten" else 2)
    return size * 2 * config.eigenstates + _FLOAT32 * own


def _ten_mixer(config: ModelConfig, size: int, _: str) -> int:
    """From the projection to the read-out and its gate."""
    states, width = config.eigenstates, config.width
    factors = config.input_gate or config.input_scaling
    driven = size * projected(config) if factors or config.convolution else 0
    if config.convolution:  # the taps' gradient needs every shifted input, the factor's the convolution's result
        driven += size * convolved(config) * (config.convolution - 1 + factors)
    return driven + _factors(config, states) + _scanned(config, size) + 2 * size * width


def _factors(config: ModelConfig, decays: int) -> int:
    """What leads to the decays of a token, and to the factors of its inputs."""
    decay = 2 * config.selective  # σ, 8 σ
    scaling = (3 * config.selective + 1) if config.input_scaling else 0  # expm1, its clamp, the root; with starts
    gate = 1 + config.input_scaling if config.input_gate else 0  # σ; times the scaling
    return _FLOAT32 * decays * (decay + scaling + gate)


def _matrix_mixer(config: ModelConfig, size: int, device: str) -> int:
    """From the projection to the read-out and its gate, with the products of queries and keys within a chunk."""
    double, width, heads = 2 * config.eigenstates, config.width, config.heads
    narrow = size < _FLOAT32
    scaled = config.input_gate or config.input_scaling or not narrow
    passed = size * (projected(config) + convolved(config) * (config.convolution + scaled))  # shifted; SiLU's result
    turned = _FLOAT32 * double * (5 if narrow else 2)  # at unit length, and as the frame that turns takes them
    products = double * (5 * size + _FLOAT32) + size * 2 * width
    weights = heads * CHUNK * (_FLOAT32 + size * (3 if narrow else 2))  # decays between two tokens; products
    states = config.eigenstates * state_values(config) * (4 * size + _FLOAT32) // CHUNK
    few = _factors(config, heads) + 7 * _FLOAT32 * heads
    readout = _FLOAT32 * width * (3 if device == "cpu" else 2) + 2 * size * width  # normed; gate, product
    return passed + turned + products + weights + states + few + readout


def _paper_mixer(config: ModelConfig, size: int, device: str) -> int:
    """From the projections to the read-out and its gate."""
    return _paper_modulation(config, device) + _scanned(config, size) + 2 * size * config.width


def _paper_modulation(config: ModelConfig, device: str) -> int:
    """tanh for both parts, the moved decay logit, and a buffer that the logarithm of its sigmoid has on a CPU."""
    return _FLOAT32 * (3 + (device == "cpu")) * config.eigenstates * config.selective


_MIXERS: dict[Variant, Callable[[ModelConfig, int, str], int]] = {
    "ten": _ten_mixer, "matrix": _matrix_mixer, "paper": _paper_mixer,
}  # fmt: skip
