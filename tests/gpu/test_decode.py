"""On a real card: decoding by a replayed graph is decoding, on any card and under autocast."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from ten.model.decode import Decoder
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig

pytestmark = pytest.mark.gpu
VOCABULARY, TOKENS = 97, 12
CONFIG = ModelConfig(layers=2, width=64, eigenstates=32, mlp_width=96, heads=2, convolution=4, max_memory=64.0)


@pytest.fixture(params=[0, -1], ids=["first", "last"])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """A card, which need not be the current one."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    yield torch.device("cuda", range(torch.cuda.device_count())[request.param])


def autocast(on: bool) -> AbstractContextManager[None]:
    return torch.autocast("cuda", dtype=torch.bfloat16) if on else nullcontext()


@pytest.mark.parametrize("narrow", [False, True])
@torch.no_grad()
def test_a_replayed_graph_gives_the_logits_of_the_whole_sequence(device: torch.device, narrow: bool) -> None:
    torch.manual_seed(0)
    model = LanguageModel(CONFIG, VOCABULARY).to(device).eval()
    tokens = torch.randint(VOCABULARY, (3, TOKENS), device=device)
    with autocast(narrow):
        whole = model.logits(model(tokens)[0])
        decoder = Decoder(model, model(tokens[:, :1])[1])
    for step in range(1, TOKENS):  # outside of the autocast that it was made in, whose copies of weights are gone
        torch.full((2**22,), float("nan"), device=device)  # what is free is written over
        found = decoder.step(tokens[:, step])
        torch.testing.assert_close(found, whole[:, step], rtol=0.05 if narrow else 1e-4, atol=0.05 if narrow else 1e-4)
