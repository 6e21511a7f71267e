"""MFU: of the dense bf16 peak of known cards, and no figure otherwise."""

import pytest

from ten.model.cost import flops_per_token
from ten.model.presets import ModelSettings, resolve
from ten.train.utilization import peak_tokens_per_s

CONFIG = resolve(ModelSettings(config="large"))
VOCABULARY = 50257


def test_a_rate_at_half_the_peak_is_an_mfu_of_a_half() -> None:
    peak = peak_tokens_per_s(CONFIG, VOCABULARY, card="NVIDIA L40S", precision="bf16")
    assert peak is not None
    assert peak * flops_per_token(CONFIG, VOCABULARY) == pytest.approx(362e12)


def test_ranks_add_up() -> None:
    one, eight = (
        peak_tokens_per_s(CONFIG, VOCABULARY, card="NVIDIA H200", precision="bf16", ranks=ranks) for ranks in (1, 8)
    )
    assert one is not None and eight == pytest.approx(8 * one)


def test_an_unknown_card_and_fp32_have_no_mfu() -> None:
    assert peak_tokens_per_s(CONFIG, VOCABULARY, card="AMD EPYC", precision="bf16") is None
    assert peak_tokens_per_s(CONFIG, VOCABULARY, card="NVIDIA L40S", precision="fp32") is None
