"""What a lane of the fused kernels does at one step, in Triton: its place, its eigenvalue, its complex pairs."""

import triton
import triton.language as tl


@triton.jit
def place(edges, K: tl.constexpr, BLOCK: tl.constexpr, LAST_FIRST: tl.constexpr = False):
    """This program's row, its edge or chunk among `edges`, its eigenstates, and which of them there are.

    Programs start about in their order. LAST_FIRST turns it round, for a kernel that reads again what another one has
    read in order: what that read last is still in the cache.
    """
    blocks: tl.constexpr = (K + BLOCK - 1) // BLOCK
    program = tl.program_id(0).to(tl.int64)
    if LAST_FIRST:
        program = tl.num_programs(0) - 1 - program
    k = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    return program // blocks // edges, program // blocks % edges, k, k < K


@triton.jit
def both(inside, lanes):
    """`lanes` where the scalar `inside` holds; Triton's interpreter has no & of the two."""
    return tl.where(inside, lanes, False)


@triton.jit
def fixed_parts(log_decay, phase, k, lanes, MOVING_DECAY: tl.constexpr, MOVING_PHASE: tl.constexpr):
    """|λ|, cos and sin of arg λ where they do not move with time."""
    decay = 1.0
    cos = 1.0
    sin = 0.0
    if not MOVING_DECAY:
        decay = decay_of(tl.load(log_decay + k, mask=lanes, other=0.0))
    if not MOVING_PHASE:
        angle = tl.load(phase + k, mask=lanes, other=0.0)
        cos = tl.cos(angle)
        sin = tl.sin(angle)
    return decay, cos, sin


@triton.jit
def eigenvalue(
    log_decay, phase, starts, at, k, here, inside, decay, cos, sin,
    K: tl.constexpr, MOVING_DECAY: tl.constexpr, MOVING_PHASE: tl.constexpr,
):  # fmt: skip
    """λ as a pair at step `at` of (B T); `decay`, `cos` and `sin` are those of `fixed_parts`."""
    if MOVING_DECAY:
        decay = decay_of(tl.load(log_decay + at * K + k, mask=here, other=0.0))
    if MOVING_PHASE:
        angle = tl.load(phase + at * K + k, mask=here, other=0.0)
        cos = tl.cos(angle)
        sin = tl.sin(angle)
    if starts is not None:
        decay = tl.where(tl.load(starts + at, mask=inside, other=0) != 0, 0.0, decay)
    return decay * cos, decay * sin


@triton.jit
def decay_of(log_decay):
    """exp(log_decay), right to half a unit in the last place near 1.

    The device's own exp may be off by two of them, always the same way: that would shorten or lengthen long memories.
    """
    x = tl.minimum(tl.maximum(log_decay, -0.25), 0.25)
    series = 1.0 + x * (1 / 5) * (1.0 + x * (1 / 6) * (1.0 + x * (1 / 7)))
    series = x * (1.0 + x * (1 / 2) * (1.0 + x * (1 / 3) * (1.0 + x * (1 / 4) * series)))
    return tl.where(tl.abs(log_decay) < 0.25, 1.0 + series, tl.exp(log_decay))


@triton.jit
def times(left_re, left_im, right_re, right_im):
    """left · right, complex."""
    return left_re * right_re - left_im * right_im, left_re * right_im + left_im * right_re


@triton.jit
def load_pair(values, at, k, here, K: tl.constexpr):
    """Row `at` of (..., 2K) in fp32; zeros where not `here`."""
    address = values + at * (2 * K) + k
    re = tl.load(address, mask=here, other=0.0).to(tl.float32)
    im = tl.load(address + K, mask=here, other=0.0).to(tl.float32)
    return re, im


@triton.jit
def store_pair(values, at, k, here, re, im, K: tl.constexpr):
    """Row `at` of (..., 2K), in the dtype it has."""
    address = values + at * (2 * K) + k
    tl.store(address, re.to(values.dtype.element_ty), mask=here)
    tl.store(address + K, im.to(values.dtype.element_ty), mask=here)
