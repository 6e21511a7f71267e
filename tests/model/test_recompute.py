"""What is computed again: the same values, as late and as little as possible, without torch's compiler."""

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ten.model.lm import LanguageModel, Recompute
from ten.model.presets import ModelConfig
from ten.model.recompute import recomputed


def test_values_and_gradients_are_those_of_a_plain_call() -> None:
    x, weight = (torch.randn(4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def function(x: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        hidden = torch.sigmoid(x @ weight) * factor
        return hidden, hidden.exp()

    found = []
    for result in (function(x, 0.5), recomputed(function, x, 0.5)):
        found.append((result, torch.autograd.grad(result[0].sum() + result[1].square().sum(), [x, weight])))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


def test_a_graph_that_is_kept_may_be_used_twice() -> None:
    x = torch.randn(5, requires_grad=True)
    y = recomputed(lambda x: torch.sigmoid(x.exp()), x).sum()
    first = torch.autograd.grad(y, x, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(y, x), first, rtol=0, atol=0)


def test_the_second_call_comes_with_the_backward_pass_and_ends_at_the_last_tensor_saved() -> None:
    reached: list[str] = []

    def function(x: Tensor) -> Tensor:
        reached.append("begin")
        y = torch.sigmoid(x)
        reached.append("end")
        return y.sum()

    x = torch.randn(3, requires_grad=True)
    y = recomputed(function, x)
    assert reached == ["begin", "end"]
    y.backward()  # type: ignore[no-untyped-call]
    assert reached == ["begin", "end", "begin"]


def test_without_gradients_nothing_is_held() -> None:
    class Input:
        pass

    x = torch.randn(3)
    with torch.no_grad():
        assert recomputed(lambda x, _: x * 2, x, Input()).equal(x * 2)


def test_the_second_call_runs_under_the_first_ones_autocast() -> None:
    linear, x = torch.nn.Linear(8, 8), torch.randn(4, 8, requires_grad=True)
    types = []

    def function(x: Tensor) -> Tensor:
        hidden: Tensor = linear(x)
        types.append(hidden.dtype)
        return hidden.sigmoid()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = recomputed(function, x)
    y.float().sum().backward()  # type: ignore[no-untyped-call]
    assert types == [torch.bfloat16, torch.bfloat16]


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts matrix products by their number of operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            inputs = [arg for arg in args if isinstance(arg, Tensor) and arg.dim() == 2][-2:]
            self.sizes[inputs[0].shape[0] * inputs[0].shape[1] * inputs[1].shape[1]] += 1
        return result


# times each product runs: forward, twice in the backward pass, and once more where it is computed again
PRODUCTS = {"into the mixer": 24, "out of the mixer": 6, "up": 58, "down": 29}
RUNS: dict[Recompute, tuple[int, int, int, int]] = {
    "nothing": (3, 3, 3, 3),
    "cheap": (3, 4, 3, 3),
    "blocks": (4, 4, 4, 3),
}


@pytest.mark.parametrize("recompute", RUNS)
def test_only_narrow_products_are_cheap_and_a_last_one_is_never_repeated(recompute: Recompute) -> None:
    config = ModelConfig(layers=1, width=12, eigenstates=3, mlp_width=29, coupling=False, convolution=4, max_memory=9.0)
    model = LanguageModel(config, 17)
    model.recompute = recompute
    with _Products() as counted:
        model.loss(torch.randint(17, (1, 12))).backward()  # type: ignore[no-untyped-call]
    found = tuple(counted.sizes[11 * config.width * outputs] for outputs in PRODUCTS.values())
    assert found == RUNS[recompute]


def test_no_level_imports_torchs_compiler() -> None:
    code = """
import sys, torch
from ten.model.lm import LanguageModel
from ten.model.presets import ModelSettings, resolve
model = LanguageModel(resolve(ModelSettings(layers=1, width=16, eigenstates=4, mlp_width=16)), 20)
for model.recompute in ("nothing", "cheap", "blocks"):
    model.loss(torch.randint(20, (1, 9))).backward()
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("recompute", ["nothing", "cheap", "blocks"])
def test_compiled_blocks_give_the_same_gradients(recompute: Recompute) -> None:
    torch.manual_seed(0)
    config = ModelConfig(layers=2, width=12, eigenstates=8, mlp_width=20, heads=2, convolution=4, max_memory=64.0)
    model = LanguageModel(config, 17)
    model.recompute = recompute
    tokens, starts = torch.randint(17, (2, 15)), torch.rand(2, 14) < 0.2
    plain = torch.autograd.grad(model.loss(tokens, starts), list(model.parameters()))
    for block in model.blocks:
        block.compile(backend="aot_eager")
    compiled = torch.autograd.grad(model.loss(tokens, starts), list(model.parameters()))
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)
