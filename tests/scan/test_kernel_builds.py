"""The kernels translate to machine code of the GPUs one can rent, which needs no GPU: Triton brings the assembler."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
BUILD = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from ten.scan import kernels

NARROW = ("values", "states", "d_states", "d_inputs")
FLAGS = {"K": 160, "BLOCK": 64, "MOVING_DECAY": sys.argv[2] == "selective", "MOVING_PHASE": False, "REVERSE": False}

def kind(name):
    if name in FLAGS:
        return "constexpr"
    if name in ("steps", "chunk", "chunks"):
        return "i32"
    return "*u8" if name == "starts" else "*bf16" if name in NARROW else "*fp32"

for name in ("chunk_ends", "carry_over", "all_states", "all_gradients"):
    kernel = getattr(kernels, name)
    signature = {argument: kind(argument) for argument in kernel.arg_names}
    constants = {argument: FLAGS[argument] for argument in kernel.arg_names if argument in FLAGS}
    built = triton.compile(
        ASTSource(kernel, signature, constants),
        target=GPUTarget("cuda", int(sys.argv[1]), 32),
        options={"num_warps": 1, "num_stages": 1, "enable_fp_fusion": True},
    )
    print(name, built.metadata.shared, len(built.asm["cubin"]) > 0)
"""


@pytest.mark.parametrize(
    ("capability", "decay"),
    [
        (89, "selective"),
        *(pytest.param(capability, "fixed", marks=pytest.mark.slow) for capability in (80, 86, 89, 90, 100, 120)),
    ],
)
def test_every_kernel_builds_and_needs_no_shared_memory(capability: int, decay: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", BUILD, str(capability), decay],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"TRITON_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    kernels = ("chunk_ends", "carry_over", "all_states", "all_gradients")
    assert run.stdout.splitlines() == [f"{name} 0 True" for name in kernels]
