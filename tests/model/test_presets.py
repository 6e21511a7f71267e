"""Presets: counted sizes, overrides, and refusals that name the field."""

from typing import get_args

import msgspec
import pytest

from ten.errors import SpecError
from ten.model.cost import parameters
from ten.model.presets import (
    PRESETS,
    Backend,
    ModelConfig,
    ModelSettings,
    default_seq_len,
    padded_vocabulary,
    resolve,
)
from ten.scan import BACKENDS

GPT2 = 50257
SIZES = {"tiny": 95e6, "small": 350e6, "medium": 850e6, "large": 1.8e9, "xlarge": 3.2e9}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_preset_is_within_three_percent_of_its_size(name: str, size: float) -> None:
    assert parameters(PRESETS[name].config, GPT2) == pytest.approx(size, rel=0.03)


def test_nano_has_at_most_five_million_parameters() -> None:
    assert parameters(PRESETS["nano"].config, GPT2) <= 5e6


@pytest.mark.parametrize(
    ("name", "seq_len"),
    [("nano", 512), ("tiny", 2048), ("small", 8192), ("medium", 16384), ("large", 32768), ("xlarge", 32768)],
)
def test_a_preset_names_its_sequence_length(name: str, seq_len: int) -> None:
    assert default_seq_len(name) == seq_len


@pytest.mark.parametrize("name", PRESETS)
def test_settings_that_name_only_a_preset_are_the_preset(name: str) -> None:
    assert resolve(ModelSettings(config=name)) == PRESETS[name].config


def test_settings_offer_every_field_of_the_configuration() -> None:
    assert set(ModelSettings.__struct_fields__) == {"config", *ModelConfig.__struct_fields__}


def test_one_field_is_replaced_and_the_rest_kept() -> None:
    config = resolve(ModelSettings(config="tiny", selective=False))
    assert config == msgspec.structs.replace(PRESETS["tiny"].config, selective=False)


def test_mlp_width_follows_the_width_unless_it_is_set() -> None:
    assert resolve(ModelSettings(width=96)).mlp_width == 256
    assert resolve(ModelSettings(width=96, mlp_width=100)).mlp_width == 100


def test_the_paper_variant_has_none_of_the_options_it_lacks() -> None:
    config = resolve(ModelSettings(config="tiny", variant="paper"))
    assert (config.input_gate, config.convolution, config.input_scaling) == (False, 0, False)
    assert config.mlp_width == 4 * config.width


@pytest.mark.parametrize("name", PRESETS)
def test_the_heads_of_the_matrix_variant_follow_the_width(name: str) -> None:
    config = resolve(ModelSettings(config=name, variant="matrix"))
    assert not config.coupling
    assert config.width // config.heads == (128 if name != "nano" else 20)
    assert config.eigenstates // config.heads == (32 if name != "nano" else 10)


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match=r"'lagre'.*did you mean 'large'"):
        resolve(ModelSettings(config="lagre"))
    with pytest.raises(SpecError, match="nano, tiny, small, medium, large, xlarge"):
        default_seq_len("qqq")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (ModelSettings(heads=3), "model.heads"),
        (ModelSettings(min_memory=600.0), "model.min_memory"),
        (ModelSettings(variant="paper", convolution=4), "model.convolution"),
        (ModelSettings(variant="paper", input_gate=True), "model.input_gate"),
        (ModelSettings(variant="matrix", coupling=True), "model.coupling"),
        (ModelSettings(variant="matrix", heads=16), "model.heads"),
        (ModelSettings(variant="matrix", heads=3), "model.heads"),
        (ModelSettings(layers=0), "layers"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(settings: ModelSettings, field: str) -> None:
    with pytest.raises(SpecError, match=field):
        resolve(settings)


def test_heads_need_divide_nothing_without_coupling() -> None:
    assert resolve(ModelSettings(heads=3, coupling=False)).heads == 3


@pytest.mark.parametrize(("size", "padded"), [(1, 128), (128, 128), (129, 256), (GPT2, 50304)])
def test_a_vocabulary_is_padded_to_a_multiple_of_128(size: int, padded: int) -> None:
    assert padded_vocabulary(size) == padded


def test_the_backends_a_job_may_name_are_those_of_the_scan() -> None:
    assert get_args(Backend) == BACKENDS
