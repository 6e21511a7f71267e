"""The layers that mix over time by eigenstates: the default one and the published one (torch).

Both run h_t = λ_t h_{t-1} + x_t over K complex eigenstates and read them out through a coupled projection under a
sigmoid gate. Eigenvalues, and what is handed from call to call, are float32 whatever autocast is on.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ten.model.convolution import convolve
from ten.model.documents import Documents
from ten.model.presets import ModelConfig
from ten.model.readout import CoupledProjection
from ten.model.recompute import Runner, call
from ten.model.start import PAPER_STD, initialise, spread_phases, weight_std
from ten.scan import scan

_DECAY_RANGE = 8.0
_LEAST_DISSIPATION = 1e-6
_INPUT_GATE_BIAS = 1.0
_PAPER_GATE_BIAS = -2.0
_PAPER_MODULATION = 0.1


class LayerCarry(NamedTuple):
    """What a layer hands to the next call, in float32: eigenstates, and the last inputs (B, J, W) of its convolution.

    Eigenstates are (B, 2K), K real parts and then K imaginary ones; (B, 2K, P) where each is a vector of P values.
    """

    state: Tensor
    taps: Tensor


Evolved = tuple[Tensor, Tensor, LayerCarry]  # eigenstates (B, T, 2K), logits of the output gate (B, T, D), carry


class Mixer(nn.Module):
    """A layer that mixes over time: eigenstates that evolve, and the gated read-out of them, `output`."""

    output: nn.Module

    def forward(self, x: Tensor, documents: Documents | None, carry: LayerCarry | None) -> tuple[Tensor, LayerCarry]:
        """x (B, T, D) → (B, T, D) and the carry. `documents` None: no document starts in this call."""
        states, gate, carry = self.evolve(x, documents, carry)
        return self.output(states, gate), carry

    def evolve(self, x: Tensor, documents: Documents | None, carry: LayerCarry | None, run: Runner = call) -> Evolved:
        """x (B, T, D) → `Evolved`; `run` calls the part that is cheap to compute again."""
        raise NotImplementedError


class SelectiveMixer(Mixer):
    """One with a decay that may depend on the token, an input gate and a convolution, all of one projection.

    `widths` of the projection: convolved, output gate, decay, input gate; `log_memory` has a value for every decay.
    """

    config: ModelConfig
    widths: list[int]
    projection: nn.Linear
    taps: nn.Parameter | None
    log_memory: nn.Parameter

    def settle(self) -> None:
        """Decays as fixed ones (8 σ(bias) = 1), input gates nearly open, the convolution at the identity."""
        with torch.no_grad():
            _, _, decay, gate = torch.split(self.projection.bias, self.widths)
            decay.fill_(-math.log(_DECAY_RANGE - 1))
            gate.fill_(_INPUT_GATE_BIAS)
            if self.taps is not None:
                self.taps.zero_()[0] = 1.0

    def log_decay(self, logits: Tensor) -> Tensor:
        """log|λ|: (N,) when fixed, else (B, T, N) = 8 σ(logits) log|λ| from logits (B, T, N). A memory is -1/log|λ|."""
        fixed = -torch.exp(-self.log_memory)
        if not self.config.selective:
            return fixed
        return _DECAY_RANGE * torch.sigmoid(logits.to(fixed.dtype)) * fixed


class TenMixer(SelectiveMixer):
    """The default layer: selective decay, input gate, input scaling, short convolution, output gate; each can be off.

    Decay and gates follow RG-LRU (Griffin, arXiv 2402.19427), scaling and the spread of memories LRU (arXiv
    2303.06349). One product projects to everything: convolution inputs 2K, output gate D, decay K, input gate K.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        states = config.eigenstates
        self.widths = [2 * states, config.width, states * config.selective, states * config.input_gate]
        self.projection = nn.Linear(config.width, sum(self.widths))
        self.taps = nn.Parameter(torch.empty(config.convolution, 2 * states)) if config.convolution else None
        self.log_memory = nn.Parameter(torch.empty(states))
        self.phase = nn.Parameter(torch.empty(states))
        self.output: CoupledProjection = CoupledProjection(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Memories log-uniform in tokens, phases around the circle, the convolution at the identity, decays unchanged.

        The decay's bias makes 8 σ(bias) = 1: before it has learned, the layer decays as a fixed one.
        """
        initialise(self.projection, weight_std(self.config, self.config.width))
        nn.init.uniform_(self.log_memory, math.log(self.config.min_memory), math.log(self.config.max_memory))
        spread_phases(self.phase)
        self.settle()

    def evolve(self, x: Tensor, documents: Documents | None, carry: LayerCarry | None, run: Runner = call) -> Evolved:
        """x (B, T, D) → `Evolved`; `run` calls the part that is cheap to compute again."""
        projected = self.projection(x)
        inputs, log_decay, taps = run(self._drive, projected, documents, carry)
        states, state = scan(
            inputs,
            log_decay,
            self.phase,
            carry=None if carry is None else carry.state,
            starts=None if documents is None else documents.starts,
            backend=self.config.backend,
        )
        return states, torch.split(projected, self.widths, dim=-1)[1], LayerCarry(state, taps)

    def _drive(
        self, projected: Tensor, documents: Documents | None, carry: LayerCarry | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the scan runs on, inputs (B, T, 2K) and log|λ|, and the taps to hand on."""
        raw, _, decay_logits, gate_logits = torch.split(projected, self.widths, dim=-1)
        raw, taps = convolve(raw, self.taps, documents, None if carry is None else carry.taps)
        log_decay = self.log_decay(decay_logits)
        return self._scale(raw, log_decay, gate_logits, documents), log_decay, taps

    def _scale(self, raw: Tensor, log_decay: Tensor, gate_logits: Tensor, documents: Documents | None) -> Tensor:
        """Inputs (B, T, 2K) of the scan: gated, and scaled so that the states keep their variance at any memory."""
        factor = input_scale(self.config, log_decay, gate_logits, documents)
        if factor is None:
            return raw
        real, imaginary = raw.chunk(2, dim=-1)
        return torch.cat([real * factor, imaginary * factor], dim=-1).to(raw.dtype)


def input_scale(
    config: ModelConfig, log_decay: Tensor, gate_logits: Tensor, documents: Documents | None
) -> Tensor | None:
    """What inputs are multiplied by, in the type of `log_decay`: σ(gate_logits) sqrt(1 - |λ|²), or the half that is on.

    log_decay (K,) or (B, T, K), gate_logits (B, T, K); None where both are off. A document's first input is not scaled.
    """
    factor: Tensor | None = None
    if config.input_scaling:
        # the least value keeps the root's gradient finite when a decay closes in on 1
        factor = torch.sqrt((-torch.expm1(2 * log_decay)).clamp_min(_LEAST_DISSIPATION))
        if documents is not None:
            factor = torch.where(documents.starts.unsqueeze(-1), 1.0, factor)
    if config.input_gate:
        gate = torch.sigmoid(gate_logits.to(log_decay.dtype))
        factor = gate if factor is None else gate * factor
    return factor


class PaperMixer(Mixer):
    """The published layer, without its bugs: decays σ(α), frequencies ω, both moved by ±0.1 tanh of the token.

    Its gate bias is -2 after initialisation as the paper has it, and it is computed by the exact scan: the published
    code lost the bias to a later initialisation, and its chunked backends saw the future.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        states = config.eigenstates
        self.projection = nn.Linear(config.width, 2 * states, bias=False)
        self.gate = nn.Linear(config.width, config.width)
        self.modulation = nn.Linear(config.width, 2 * states) if config.selective else None
        self.decay_logit = nn.Parameter(torch.empty(states))
        self.phase = nn.Parameter(torch.empty(states))
        self.output: CoupledProjection = CoupledProjection(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As published: logits of |λ| uniform in (-3, -0.1), frequencies around the circle, gate nearly closed."""
        initialise(self.projection, PAPER_STD)
        initialise(self.gate, PAPER_STD)
        nn.init.constant_(self.gate.bias, _PAPER_GATE_BIAS)
        if self.modulation is not None:
            initialise(self.modulation, PAPER_STD)
        nn.init.uniform_(self.decay_logit, -3.0, -0.1)
        spread_phases(self.phase)

    def evolve(self, x: Tensor, documents: Documents | None, carry: LayerCarry | None, run: Runner = call) -> Evolved:
        """As `TenMixer.evolve`; `run` has nothing to call."""
        states, state = scan(
            self.projection(x), *self.eigenvalues(x),
            carry=None if carry is None else carry.state,
            starts=None if documents is None else documents.starts,
            backend=self.config.backend,
        )  # fmt: skip
        return states, self.gate(x), LayerCarry(state, state.new_zeros(len(x), 0, state.shape[-1]))

    def eigenvalues(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log|λ| and arg λ for x (B, T, D): (K,) each when fixed, else (B, T, K)."""
        if self.modulation is None:
            return F.logsigmoid(self.decay_logit), self.phase
        moves = _PAPER_MODULATION * torch.tanh(self.modulation(x).to(self.phase.dtype))
        decay_move, phase_move = moves.chunk(2, dim=-1)
        return F.logsigmoid(self.decay_logit + decay_move), self.phase + phase_move
