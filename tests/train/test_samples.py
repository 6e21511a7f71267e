"""samples.jsonl: written at evaluations, cut back on resume."""

from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest
import torch

from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig
from ten.text.tokens import Tokenizer, load_tokenizer
from ten.train.distributed import World
from ten.train.samples import Sample, Sampler, open_sampler
from ten.train.settings import TrainSettings

SETTINGS = TrainSettings(prompts=("def ", "import "), sample_tokens=5)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer("gpt2")


@pytest.fixture
def model(tokenizer: Tokenizer) -> LanguageModel:
    torch.manual_seed(0)
    config = ModelConfig(layers=1, width=16, eigenstates=8, mlp_width=24, convolution=4, max_memory=64.0)
    return LanguageModel(config, tokenizer.vocabulary)


def sampler(folder: Path, step: int, model: LanguageModel, tokenizer: Tokenizer) -> Sampler:
    return Sampler(folder, step, model, tokenizer, SETTINGS, nullcontext)


def lines(folder: Path) -> list[Sample]:
    return [msgspec.json.decode(line, type=Sample) for line in (folder / "samples.jsonl").read_bytes().splitlines()]


def test_every_prompt_is_gone_on_with_and_the_model_trains_on(
    tmp_path: Path, model: LanguageModel, tokenizer: Tokenizer
) -> None:
    sampler(tmp_path, 0, model, tokenizer).take(3, 96)
    assert model.training
    assert [(line.step, line.tokens, line.prompt) for line in lines(tmp_path)] == [(3, 96, "def "), (3, 96, "import ")]
    assert all(line.text for line in lines(tmp_path))


def test_the_same_weights_write_the_same(tmp_path: Path, model: LanguageModel, tokenizer: Tokenizer) -> None:
    kept = torch.get_rng_state()
    taken = sampler(tmp_path, 0, model, tokenizer)
    taken.take(1, 32)
    taken.take(2, 64)
    assert [line.text for line in lines(tmp_path)[:2]] == [line.text for line in lines(tmp_path)[2:]]
    assert torch.equal(torch.get_rng_state(), kept)


def test_a_run_that_goes_on_drops_what_was_written_after_its_checkpoint(
    tmp_path: Path, model: LanguageModel, tokenizer: Tokenizer
) -> None:
    taken = sampler(tmp_path, 0, model, tokenizer)
    for step in (2, 4, 6):
        taken.take(step, 32 * step)
    with (tmp_path / "samples.jsonl").open("ab") as file:
        file.write(b'{"step": 7, "tok')
    sampler(tmp_path, 4, model, tokenizer).take(6, 192)
    assert [line.step for line in lines(tmp_path)] == [2, 2, 4, 4, 6, 6]


def test_nobody_writes_without_prompts_or_beside_rank_0(
    tmp_path: Path, model: LanguageModel, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    def opened(settings: TrainSettings, world: World) -> Sampler | None:
        return open_sampler(settings, tmp_path, 0, model, tokenizer, world)

    assert opened(TrainSettings(), World()) is None
    assert opened(SETTINGS, World(rank=1, size=2)) is None
    assert opened(SETTINGS, World()) is not None
    assert opened(SETTINGS, World(size=2, in_step=True)) is None
    assert "no samples" in caplog.text
