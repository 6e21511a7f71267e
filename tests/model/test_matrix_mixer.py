"""The matrix mixer: starting values, lengths of queries and keys, and the layer written out over time."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ten.model.documents import documents
from ten.model.lm import LanguageModel
from ten.model.matrix_mixer import MatrixMixer
from ten.model.mixer import LayerCarry
from ten.model.presets import ModelSettings, resolve

B, T = 2, 9


def mixer(**settings: object) -> MatrixMixer:
    torch.manual_seed(0)
    chosen = ModelSettings(variant="matrix", width=24, eigenstates=8, heads=4, **settings)  # type: ignore[arg-type]
    built = LanguageModel(resolve(chosen), 300).blocks[-1].mixer
    assert isinstance(built, MatrixMixer)
    return built


def written_out(layer: MatrixMixer, x: Tensor, starts: list[int]) -> Tensor:
    """The layer's output for one row (T, D) by its definition, a token at a time, in complex numbers."""
    config = layer.config
    heads, keys, width = config.heads, config.eigenstates // config.heads, config.width // config.heads
    raw, gate, decay, entry = torch.split(layer.projection(x), layer.widths, dim=-1)
    assert layer.taps is not None
    outputs, state = [], torch.zeros(heads, keys, width, dtype=torch.complex128)
    for t in range(len(x)):
        opened = max(start for start in starts if start <= t)
        if t == opened:
            state = torch.zeros_like(state)
        taps = [layer.taps[j] * raw[t - j] for j in range(len(layer.taps)) if t - j >= opened]
        q, k, v = torch.split(F.silu(torch.stack(taps).sum(0)), layer.mixed_widths)
        modulus = torch.exp(-8 * torch.sigmoid(decay[t]) * torch.exp(-layer.log_memory))
        scale = torch.sigmoid(entry[t]) * (torch.sqrt(1 - modulus**2) if t != opened else 1.0)
        query, key = (torch.complex(*part.view(2, heads, keys)) for part in (q, k))
        query, key = (part / torch.sqrt(part.abs().square().sum(1, keepdim=True) + 1e-6) for part in (query, key))
        value = v.view(heads, width) * scale[:, None]
        eigenvalue = torch.polar(modulus[:, None].expand(heads, keys), layer.phase.view(heads, keys))
        state = eigenvalue[..., None] * state + key[..., None] * value[:, None]
        read = (query.conj()[..., None] * state).sum(1).real
        outputs.append(layer.output(read[None, None], gate[t])[0, 0])
    return torch.stack(outputs)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_the_layer_is_its_definition(backend: str) -> None:
    layer = mixer(backend=backend).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.randn(B, T, 24, dtype=torch.float64)
    starts = torch.zeros(B, T, dtype=torch.bool)
    starts[:, [0, 3, 4]] = True
    found, _ = layer(x, documents(starts, layer.config.convolution), None)
    for row in range(B):
        torch.testing.assert_close(found[row], written_out(layer, x[row], [0, 3, 4]))


def test_the_carry_has_a_vector_of_values_in_every_eigenstate() -> None:
    layer = mixer()
    _, carry = layer(torch.randn(B, T, 24), None, None)
    assert isinstance(carry, LayerCarry)
    assert carry.state.shape == (B, 2 * 8, 24 // 4)
    assert carry.taps.shape == (B, 3, 4 * 8 + 24)


def test_memories_spread_over_the_heads_and_phases_over_the_keys() -> None:
    layer = mixer(min_memory=2.0, max_memory=512.0)
    steps = layer.log_memory.detach().diff()
    torch.testing.assert_close(steps, torch.full_like(steps, math.log(256) / 4))
    assert 2.0 < layer.log_memory.min().exp() < layer.log_memory.max().exp() < 512.0
    torch.testing.assert_close(layer.phase.detach().view(4, 2), torch.tensor([[1.0, 512.0**-0.5]]).expand(4, 2))


def test_selective_decay_starts_at_the_fixed_one() -> None:
    layer = mixer()
    bias = torch.split(layer.projection.bias, layer.widths)[2]
    torch.testing.assert_close(layer.log_decay(bias), -1 / layer.log_memory.exp())


def test_a_scaled_query_or_key_changes_nothing() -> None:
    layer = mixer(convolution=0)
    short, long = layer._unit(torch.ones(1, 1, 16)), layer._unit(torch.full((1, 1, 16), 50.0))
    torch.testing.assert_close(short, long)
    lengths = long.view(2, 4, 2).square().sum((0, 2))
    torch.testing.assert_close(lengths, torch.ones(4))


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_bf16_autocast_carries_on_as_the_whole(cut: int) -> None:
    layer = mixer()
    x = torch.randn(B, T, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whole, last = layer(x, None, None)
        carry, parts = None, []
        for begin, end in itertools.pairwise([0, cut, T]):
            part, carry = layer(x[:, begin:end], None, carry)
            parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0.05, atol=0.02)
    assert carry is not None
    torch.testing.assert_close(carry.state, last.state, rtol=0.05, atol=0.02)


def test_the_gradient_is_finite_where_nothing_is_forgotten() -> None:
    layer = mixer()
    with torch.no_grad():
        torch.split(layer.projection.bias, layer.widths)[2].fill_(-100.0)
    mixed, _ = layer(torch.randn(B, T, 24), None, None)
    mixed.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
