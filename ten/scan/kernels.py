"""The fused backend's kernels in Triton: chunks from a zero state, states at chunk edges, all states, all gradients.

A program is one warp that walks one chunk of one row's time for a block of eigenstates, in registers alone. A lane
keeps its eigenstates at every step: nothing is exchanged, and no result depends on the order programs run in.
Eigenvalues are made from log_decay and phase where they are used, and are never stored. Steps are taken in groups
whose loads are all asked for before the first is used, which hides the latency of memory.

All tensors are contiguous: values (B, T, 2K) with the real parts first, eigenvalues (B, T, K) if they move with time
and (K,) if not, starts (B, T) as bytes, states at chunk edges (B, ..., 2K) in fp32. Every chunk has `chunk` steps,
the last one what is left. Offsets have 64 bits. What a program computes is defined in `ten.scan.chunked`.
"""

import triton
import triton.language as tl

from ten.scan.lanes import both, eigenvalue, fixed_parts, load_pair, place, store_pair, times

INTERPRETED = triton.knobs.runtime.interpret
"""Whether TRITON_INTERPRET=1 runs the kernels on the CPU, for tests."""
# Steps, and chunk edges, whose loads are under way at once.
STEPS = tl.constexpr(4)
EDGES = tl.constexpr(16)


@triton.jit(do_not_specialize=["steps", "chunk", "chunks"])
def chunk_ends(
    values, log_decay, phase, starts, ends, products, steps, chunk, chunks,
    K: tl.constexpr, BLOCK: tl.constexpr, MOVING_DECAY: tl.constexpr, MOVING_PHASE: tl.constexpr,
    REVERSE: tl.constexpr,
):  # fmt: skip
    """What each chunk adds to the state behind it, and the product of its eigenvalues: both (B, N - 1, 2K).

    Forward: the last state from a zero state, of all chunks but the last. Reverse: u_t = conj(λ_t)(dh_t + u_{t+1})
    at the first step from a zero, with conjugate products, of all chunks but the first.
    """
    row, edge, k, lanes = place(chunks - 1, K, BLOCK)
    start = (edge + 1 if REVERSE else edge) * chunk
    stop = tl.minimum(start + chunk, steps)
    decay, cos, sin = fixed_parts(log_decay, phase, k, lanes, MOVING_DECAY, MOVING_PHASE)
    re = tl.zeros([BLOCK], tl.float32)
    im = tl.zeros([BLOCK], tl.float32)
    product_re = re + 1.0
    product_im = im
    for first in range(0, chunk, STEPS):
        group = ()
        for j in tl.static_range(STEPS):
            t = stop - 1 - first - j if REVERSE else start + first + j
            inside = (t >= start) & (t < stop)
            at = row * steps + t
            here = both(inside, lanes)
            push = load_pair(values, at, k, here, K)
            lam = eigenvalue(
                log_decay, phase, starts, at, k, here, inside, decay, cos, sin, K, MOVING_DECAY, MOVING_PHASE
            )
            group = group + ((push, lam, inside),)
        for j in tl.static_range(STEPS):
            push, lam, inside = group[j]
            if REVERSE:
                new_re, new_im = times(lam[0], -lam[1], re + push[0], im + push[1])
                turn_re, turn_im = times(lam[0], -lam[1], product_re, product_im)
            else:
                new_re, new_im = times(lam[0], lam[1], re, im)
                new_re += push[0]
                new_im += push[1]
                turn_re, turn_im = times(lam[0], lam[1], product_re, product_im)
            re = tl.where(inside, new_re, re)
            im = tl.where(inside, new_im, im)
            product_re = tl.where(inside, turn_re, product_re)
            product_im = tl.where(inside, turn_im, product_im)
    store_pair(ends, row * (chunks - 1) + edge, k, lanes, re, im, K)
    store_pair(products, row * (chunks - 1) + edge, k, lanes, product_re, product_im, K)


@triton.jit(do_not_specialize=["chunks"])
def carry_over(carry, ends, products, entering, chunks, K: tl.constexpr, BLOCK: tl.constexpr, REVERSE: tl.constexpr):
    """The state that enters each chunk, (B, N, 2K), from `carry` (B, 2K); REVERSE: from the last chunk to the first."""
    row, _, k, lanes = place(1, K, BLOCK)
    edges = chunks - 1
    re, im = load_pair(carry, row, k, lanes, K)
    store_pair(entering, row * chunks + (edges if REVERSE else 0), k, lanes, re, im, K)
    for first in range(0, edges, EDGES):
        group = ()
        for j in tl.static_range(EDGES):
            edge = edges - 1 - first - j if REVERSE else first + j
            inside = both(first + j < edges, lanes)
            end = load_pair(ends, row * edges + edge, k, inside, K)
            group = group + ((end, load_pair(products, row * edges + edge, k, inside, K), edge, inside),)
        for j in tl.static_range(EDGES):
            end, product, edge, inside = group[j]
            re, im = times(product[0], product[1], re, im)
            re += end[0]
            im += end[1]
            store_pair(entering, row * chunks + (edge if REVERSE else edge + 1), k, inside, re, im, K)


@triton.jit(do_not_specialize=["steps", "chunk", "chunks"])
def all_states(
    values, log_decay, phase, starts, entering, states, final, steps, chunk, chunks,
    K: tl.constexpr, BLOCK: tl.constexpr, MOVING_DECAY: tl.constexpr, MOVING_PHASE: tl.constexpr,
):  # fmt: skip
    """States (B, T, 2K) from those `entering` each chunk, and the last one (B, 2K)."""
    row, edge, k, lanes = place(chunks, K, BLOCK, LAST_FIRST=True)
    start = edge * chunk
    stop = tl.minimum(start + chunk, steps)
    decay, cos, sin = fixed_parts(log_decay, phase, k, lanes, MOVING_DECAY, MOVING_PHASE)
    re, im = load_pair(entering, row * chunks + edge, k, lanes, K)
    for first in range(0, chunk, STEPS):
        group = ()
        for j in tl.static_range(STEPS):
            t = start + first + j
            inside = t < stop
            at = row * steps + t
            here = both(inside, lanes)
            push = load_pair(values, at, k, here, K)
            lam = eigenvalue(
                log_decay, phase, starts, at, k, here, inside, decay, cos, sin, K, MOVING_DECAY, MOVING_PHASE
            )
            group = group + ((push, lam, here, inside, at),)
        for j in tl.static_range(STEPS):
            push, lam, here, inside, at = group[j]
            new_re, new_im = times(lam[0], lam[1], re, im)
            re = tl.where(inside, new_re + push[0], re)
            im = tl.where(inside, new_im + push[1], im)
            store_pair(states, at, k, here, re, im, K)
    store_pair(final, row, k, both(edge == chunks - 1, lanes), re, im, K)


@triton.jit(do_not_specialize=["steps", "chunk", "chunks"])
def all_gradients(
    d_states, log_decay, phase, starts, carry, states, arriving,
    d_inputs, d_log_decay, d_phase, d_carry, steps, chunk, chunks,
    K: tl.constexpr, BLOCK: tl.constexpr, MOVING_DECAY: tl.constexpr, MOVING_PHASE: tl.constexpr,
):  # fmt: skip
    """Gradients from u `arriving` at each chunk from its right, (B, N, 2K): in inputs, eigenvalues and carry.

    A gradient in what does not move with time comes as the sum over each chunk, (B, N, K). With h_{t-1} the state
    before a step it is u_t conj(h_{t-1}); the shorter g_t conj(h_t - x_t) would lose all digits to states in bf16.
    The first step's h_{t-1} is the carry, in fp32: its gradient is added last.
    """
    row, edge, k, lanes = place(chunks, K, BLOCK, LAST_FIRST=True)
    start = edge * chunk
    stop = tl.minimum(start + chunk, steps)
    decay, cos, sin = fixed_parts(log_decay, phase, k, lanes, MOVING_DECAY, MOVING_PHASE)
    re, im = load_pair(arriving, row * chunks + edge, k, lanes, K)
    decay_sum = tl.zeros([BLOCK], tl.float32)
    phase_sum = tl.zeros([BLOCK], tl.float32)
    for first in range(0, chunk, STEPS):
        group = ()
        for j in tl.static_range(STEPS):
            t = stop - 1 - first - j
            inside = t >= start
            at = row * steps + t
            here = both(inside, lanes)
            push = load_pair(d_states, at, k, here, K)
            lam = eigenvalue(
                log_decay, phase, starts, at, k, here, inside, decay, cos, sin, K, MOVING_DECAY, MOVING_PHASE
            )
            memory = load_pair(states, at - 1, k, both(inside & (t > 0), lanes), K)
            group = group + ((push, lam, memory, here, inside, at),)
        for j in tl.static_range(STEPS):
            push, lam, memory, here, inside, at = group[j]
            push_re = push[0] + re
            push_im = push[1] + im
            store_pair(d_inputs, at, k, here, push_re, push_im, K)
            new_re, new_im = times(lam[0], -lam[1], push_re, push_im)
            re = tl.where(inside, new_re, re)
            im = tl.where(inside, new_im, im)
            decay_slope, phase_slope = times(re, im, memory[0], -memory[1])
            if MOVING_DECAY:
                tl.store(d_log_decay + at * K + k, decay_slope, mask=here)
            if MOVING_PHASE:
                tl.store(d_phase + at * K + k, phase_slope, mask=here)
            decay_sum += decay_slope
            phase_sum += phase_slope
    head = both(edge == 0, lanes)
    memory = load_pair(carry, row, k, head, K)
    decay_slope, phase_slope = times(re, im, memory[0], -memory[1])
    if MOVING_DECAY:
        tl.store(d_log_decay + row * steps * K + k, decay_slope, mask=head)
    else:
        tl.store(d_log_decay + (row * chunks + edge) * K + k, decay_sum + decay_slope, mask=lanes)
    if MOVING_PHASE:
        tl.store(d_phase + row * steps * K + k, phase_slope, mask=head)
    else:
        tl.store(d_phase + (row * chunks + edge) * K + k, phase_sum + phase_slope, mask=lanes)
    store_pair(d_carry, row, k, head, re, im, K)
