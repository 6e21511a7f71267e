"""Scans as operators of torch: what `torch.compile` sees of them, and what eager runs are spared."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ten.scan import BACKENDS, scan
from tests.scan.cases import LEAVES, Case, make_case

OPERATORS = [name for name in BACKENDS if name != "reference"]
ROOT = Path(__file__).parents[2]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

EAGER = """
import sys
import torch
from ten.scan import scan
inputs = torch.ones(1, 3, 4, requires_grad=True)
states, final = scan(inputs, torch.zeros(2), torch.zeros(2))
(states.sum() + final.sum()).backward()
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor", "triton"))])
"""


def test_an_eager_step_imports_neither_compiler_nor_triton() -> None:
    run = subprocess.run([sys.executable, "-c", EAGER], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", ["fixed", "selective"])
def test_schema_fake_results_and_autograd_agree_with_the_kernels(name: str, kind: str) -> None:
    case = make_case((2, 5, 3), decay=kind, starts=kind == "fixed", dtype=torch.float32).to(DEVICE).leaves()
    operator = getattr(torch.ops.ten, f"{name}_scan").default
    torch.library.opcheck(operator, (case.inputs, case.log_decay, case.phase, case.carry, case.starts))


def results(run: Callable[[Case], tuple[Tensor, Tensor]], case: Case) -> list[Tensor]:
    states, final = run(case)
    loss = states.float().square().sum() + final.square().sum()
    return [states, final, *torch.autograd.grad(loss, [getattr(case, name) for name in LEAVES])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_function_has_no_graph_break_and_the_same_bits(backend: str) -> None:
    def run(case: Case) -> tuple[Tensor, Tensor]:
        return scan(2 * case.inputs, case.log_decay, case.phase, carry=case.carry, starts=case.starts, backend=backend)

    torch.compiler.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    case = make_case((2, 5, 3), dtype=torch.float32, starts=True).to(DEVICE).leaves()
    for got, wanted in zip(results(compiled, case), results(run, case), strict=True):
        assert torch.equal(got, wanted)


def test_another_length_is_not_compiled_again() -> None:
    graphs = []

    def counting(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    def run(case: Case) -> tuple[Tensor, Tensor]:
        return scan(case.inputs, case.log_decay, case.phase, carry=case.carry)

    torch.compiler.reset()
    compiled = torch.compile(run, fullgraph=True, dynamic=True, backend=counting)
    for steps in (5, 33, 70):
        case = make_case((2, steps, 3), dtype=torch.float32)
        assert torch.equal(compiled(case)[0], run(case)[0])
    assert len(graphs) == 1
    assert sum(node.target is torch.ops.ten.auto_scan.default for node in graphs[0].graph.nodes) == 1
