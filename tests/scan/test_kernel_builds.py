"""The kernels as machine code of the GPUs one can rent, which needs no GPU: Triton brings the assembler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
# One build forward and one in reverse of what runs both ways, one of the rest; none has any shared memory.
BUILDS = ["all_gradients 0", "all_states 0", "carry_over 0", "carry_over 0", "chunk_ends 0", "chunk_ends 0"]


@pytest.mark.parametrize(
    ("capability", "decay"),
    [
        (89, "selective"),
        *(pytest.param(capability, "fixed", marks=pytest.mark.slow) for capability in (80, 86, 89, 90, 100, 120)),
    ],
)
def test_one_build_of_each_kernel_serves_every_length_without_shared_memory(
    capability: int, decay: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "tests.scan.build_kernels", str(capability), decay],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == BUILDS
