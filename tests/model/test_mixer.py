"""Mixers: starting values after the whole model has been built, and eigenvalues that do what their names say."""

import math

import torch

from ten.model.lm import LanguageModel
from ten.model.mixer import PaperMixer, TenMixer
from ten.model.presets import ModelSettings, resolve


def ten_mixer(settings: ModelSettings) -> TenMixer:
    torch.manual_seed(0)
    mixer = LanguageModel(resolve(settings), 300).blocks[-1].mixer
    assert isinstance(mixer, TenMixer)
    return mixer


def paper_mixer(settings: ModelSettings) -> PaperMixer:
    torch.manual_seed(0)
    mixer = LanguageModel(resolve(settings), 300).blocks[-1].mixer
    assert isinstance(mixer, PaperMixer)
    return mixer


def test_memories_start_between_the_bounds_that_were_set() -> None:
    memory = ten_mixer(ModelSettings(min_memory=3.0, max_memory=100.0)).log_memory.exp()
    assert 3.0 <= memory.min() < 8.0
    assert 50.0 < memory.max() <= 100.0


def test_selective_decay_starts_at_the_fixed_one() -> None:
    mixer = ten_mixer(ModelSettings())
    bias = torch.split(mixer.projection.bias, mixer.widths)[2]
    torch.testing.assert_close(mixer.log_decay(bias), -1 / mixer.log_memory.exp())


def test_selective_decay_ranges_from_keeping_to_eight_times_faster() -> None:
    mixer = ten_mixer(ModelSettings())
    logits = torch.full((1, 1, mixer.config.eigenstates), 30.0)
    torch.testing.assert_close(mixer.log_decay(logits)[0, 0], -8 / mixer.log_memory.exp())
    assert mixer.log_decay(-logits).abs().max() < 1e-9


def test_fixed_eigenvalues_do_not_see_the_tokens() -> None:
    mixer = ten_mixer(ModelSettings(selective=False))
    assert mixer.widths[2] == 0
    assert mixer.log_decay(torch.empty(2, 3, 0)).shape == (mixer.config.eigenstates,)
    paper = paper_mixer(ModelSettings(variant="paper", selective=False))
    assert [value.dim() for value in paper.eigenvalues(torch.randn(2, 3, 80))] == [1, 1]


def test_phases_start_evenly_around_the_circle() -> None:
    for phase in (ten_mixer(ModelSettings()).phase, paper_mixer(ModelSettings(variant="paper")).phase):
        steps = phase.diff()
        torch.testing.assert_close(steps, torch.full_like(steps, 2 * math.pi / len(phase)))
        assert phase[0] == 0


def test_the_convolution_starts_at_the_identity() -> None:
    taps = ten_mixer(ModelSettings()).taps
    assert taps is not None
    assert (taps[0] == 1).all()
    assert not taps[1:].any()


def test_the_coupling_starts_at_the_identity() -> None:
    output = ten_mixer(ModelSettings()).output
    torch.testing.assert_close(output.weight(), output.projection.weight)


def test_a_folded_coupling_equals_one_applied_to_the_states() -> None:
    output = ten_mixer(ModelSettings()).output
    assert output.coupling is not None
    with torch.no_grad():
        output.coupling.normal_()
    states = torch.randn(2, 3, output.projection.in_features)
    split = states.view(2, 3, 2, output.config.heads, -1)
    coupled = torch.einsum("hjk,btphk->btphj", output.coupling, split).reshape(states.shape)
    gate = torch.randn(2, 3, output.projection.out_features)
    torch.testing.assert_close(output(states, gate), output.projection(coupled) * torch.sigmoid(gate))


def test_the_gradient_is_finite_where_nothing_is_forgotten() -> None:
    mixer = ten_mixer(ModelSettings())
    with torch.no_grad():
        torch.split(mixer.projection.bias, mixer.widths)[2].fill_(-100.0)
    mixed, _ = mixer(torch.randn(2, 9, 80), None, None)
    mixed.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


def test_the_published_gate_starts_nearly_closed() -> None:
    assert (paper_mixer(ModelSettings(variant="paper")).gate.bias == -2).all()


def test_published_decays_start_as_published() -> None:
    mixer = paper_mixer(ModelSettings(variant="paper"))
    assert -3.0 <= mixer.decay_logit.min() < -2.0
    assert -0.9 < mixer.decay_logit.max() <= -0.1


def test_published_selectivity_moves_eigenvalues_by_a_tenth_at_most() -> None:
    mixer = paper_mixer(ModelSettings(variant="paper"))
    log_decay, phase = mixer.eigenvalues(1e4 * torch.randn(2, 3, 80))
    moved = torch.logit(log_decay.exp()) - mixer.decay_logit
    assert 0.09 < moved.abs().max() < 0.1001
    assert 0.09 < (phase - mixer.phase).abs().max() < 0.1001
