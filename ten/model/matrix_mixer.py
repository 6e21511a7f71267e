"""The layer whose eigenstates are vectors: written by keys, read by queries, decaying by heads (torch)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ten.model.convolution import convolve
from ten.model.documents import Documents
from ten.model.mixer import Evolved, LayerCarry, SelectiveMixer, input_scale
from ten.model.presets import ModelConfig
from ten.model.readout import NormedProjection
from ten.model.recompute import Runner, call
from ten.model.start import initialise, weight_std
from ten.scan.outer import outer_scan

_NORM_EPSILON = 1e-6


class MatrixMixer(SelectiveMixer):
    """Outer-product eigenstates: S_t = λ_t S_{t-1} + k_t v_tᵀ, y_t = Re(q_tᴴ S_t), normed and gated, in H heads.

    Each of the K complex eigenstates holds D / H values, so that a state is 2 D K / H numbers where `TenMixer` has 2 K
    (the step from HGRN to HGRN2, arXiv 2404.07904). Decay, input gate and input scaling are `TenMixer`'s, one a head;
    queries, keys and values pass the short convolution and SiLU, and queries and keys have unit length (Gated DeltaNet,
    arXiv 2412.06464). Phases turn queries and keys as rotary positions do, and are learned.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        states, width, heads = config.eigenstates, config.width, config.heads
        self.mixed_widths = [2 * states, 2 * states, width]
        self.widths = [sum(self.mixed_widths), width, heads * config.selective, heads * config.input_gate]
        self.projection = nn.Linear(width, sum(self.widths))
        self.taps = nn.Parameter(torch.empty(config.convolution, self.widths[0])) if config.convolution else None
        self.log_memory = nn.Parameter(torch.empty(heads))
        self.phase = nn.Parameter(torch.empty(states))
        self.output: NormedProjection = NormedProjection(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Memories spread evenly in log-tokens over the heads, phases from 1 down towards 1 / max_memory over the keys.

        Convolution at the identity and decays unchanged, as in `TenMixer`.
        """
        initialise(self.projection, weight_std(self.config, self.config.width))
        initialise(self.output.projection, weight_std(self.config, self.config.width, residual=True))
        low, high = math.log(self.config.min_memory), math.log(self.config.max_memory)
        keys = len(self.phase) // self.config.heads
        with torch.no_grad():
            middles = (torch.arange(self.config.heads, device=self.phase.device) + 0.5) / self.config.heads
            self.log_memory.copy_(low + middles * (high - low))
            rates = torch.exp(-high * torch.arange(keys, device=self.phase.device) / keys)
            self.phase.copy_(rates.repeat(self.config.heads))
        self.settle()

    def evolve(self, x: Tensor, documents: Documents | None, carry: LayerCarry | None, run: Runner = call) -> Evolved:
        """x (B, T, D) → outputs (B, T, H, P), logits of the gate (B, T, D), carry; `run` as in `TenMixer.evolve`.

        The scan within chunks is computed again too: what it keeps is several times its inputs.
        """
        projected = self.projection(x)
        mixed, state, taps = run(self._mix, projected, documents, carry)
        return mixed, torch.split(projected, self.widths, dim=-1)[1], LayerCarry(state, taps)

    def _mix(
        self, projected: Tensor, documents: Documents | None, carry: LayerCarry | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The scan's outputs (B, T, H, P) and last states, and the taps to hand on."""
        raw, _, decay_logits, gate_logits = torch.split(projected, self.widths, dim=-1)
        raw, taps = convolve(raw, self.taps, documents, None if carry is None else carry.taps)
        queries, keys, values = torch.split(F.silu(raw), self.mixed_widths, dim=-1)
        log_decay = self.log_decay(decay_logits)
        factor = input_scale(self.config, log_decay, gate_logits, documents)
        heads = self.config.heads
        values = values.reshape(*values.shape[:2], heads, self.config.width // heads)
        if factor is not None:
            values = (values * factor.unsqueeze(-1)).to(raw.dtype)
        mixed, state = outer_scan(
            self._unit(queries),
            self._unit(keys),
            values,
            log_decay,
            self.phase.view(heads, -1),
            carry=None if carry is None else carry.state,
            starts=None if documents is None else documents.starts,
            backend=self.config.backend,
        )
        return mixed, state, taps

    def _unit(self, x: Tensor) -> Tensor:
        """(B, T, 2K) with the N complex numbers of every head at unit length, in the type that came."""
        keys = self.config.eigenstates // self.config.heads
        heads = x.to(self.phase.dtype).reshape(*x.shape[:2], 2, self.config.heads, keys)
        length = heads.square().sum(dim=(-3, -1), keepdim=True)
        return (heads * torch.rsqrt(length + _NORM_EPSILON)).flatten(-3).to(x.dtype)
