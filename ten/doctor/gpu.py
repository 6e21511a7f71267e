"""GPU checks: the driver beside torch's CUDA, a real kernel beside the CPU, memory beside the plan."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.gpus import Gpus
from ten.doctor.subject import Subject
from ten.units import format_bytes

_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
"""By CUDA's major version, as its release notes have it; versions of the same major are compatible."""
_KERNEL_S = 180.0
_NONE = "no NVIDIA GPU answers here"
_LAST_LINES = 3


def check_driver(subject: Subject) -> Verdict:
    """Whether the driver is new enough for the CUDA that torch was built with."""
    gpus, cuda = subject.gpus, torch_cuda()
    if gpus is None:
        wanted = subject.spec.train.device.startswith("cuda")
        cure = "install NVIDIA's driver, give the container --gpus all, or set train.device=auto"
        return fail(f"{_NONE}, and train.device={subject.spec.train.device}", cure) if wanted else skipped(_NONE)
    what = f"{len(gpus.names)} × {gpus.names[0]}, driver {gpus.driver}"
    if cuda is None:
        return fail(f"{what}; torch is built without CUDA", "install a torch with CUDA, or use the image ten:cuda")
    least = _OLDEST_DRIVER.get(int(cuda.partition(".")[0]))
    if gpus.driver_major is None or least is None:
        return warn(f"{what}, CUDA {cuda}: not known whether they go together", "see what the kernel's check says")
    if gpus.driver_major < least:
        cure = "update the driver, or install a torch for an older CUDA"
        return fail(f"{what}: CUDA {cuda} wants {least} or newer", cure)
    return ok(f"{what}, CUDA {cuda}")


def check_kernel(subject: Subject) -> Verdict:
    """Whether a matrix product and a scan come out on the GPU as they do on the CPU, in a process of its own."""
    return skipped(_NONE) if subject.gpus is None else run_kernel("cuda")


def run_kernel(device: str, within_s: float = _KERNEL_S) -> Verdict:
    """The same on a device: what hangs, crashes or is wrong there ends a process and not this one."""
    command = [sys.executable, "-m", "ten.doctor.kernel", device]
    cure = "compare driver, torch and GPU; `dmesg | grep -i xid` shows hardware faults; rent another machine"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired:
        return fail(f"the kernel hangs: no answer within {within_s:.0f} s", cure)
    if done.returncode:
        said = " | ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        return fail(f"the kernel failed with exit code {done.returncode}: {said}", cure)
    errors: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    told = ", ".join(f"{name} {error:.1g}" for name, error in errors.items())
    return ok(f"equal to the CPU's, relative errors: {told}")


def check_memory(subject: Subject) -> Verdict:
    """Whether what a checkpoint holds fits, weights and moments, shared by all GPUs here; gradients and activations
    come on top. Where no GPU is here, whether the cards that the job names have the memory by formula."""
    if subject.gpus is None:
        return compare_named(subject)
    return compare_memory(subject.gpus, subject.checkpoint_bytes // len(subject.gpus.names))


def compare_named(subject: Subject) -> Verdict:
    """Whether the machines that the job names have the memory for a level of `train.memory`, by formula."""
    resources = subject.spec.resources
    names_some = resources.gpu is not None or bool(resources.ordered)
    named = [quote for quote in subject.plan.quotes if quote.gpu is not None] if names_some else []
    if not named:
        return skipped(_NONE)
    told = ", ".join(f"{format_bytes(one.memory_bytes or 0)} on {one.machine}" for one in named)
    short = [one for one in named if "memory" in one.hindrances]
    if not short:
        return ok(f"{_NONE}; by formula {told}: fits")
    cure = f"set {' '.join(short[0].cure)}" if short[0].cure else "choose a smaller model.config, or a larger GPU"
    value = f"{_NONE}; by formula {told} at least: too much for {', '.join(one.machine for one in short)}"
    return fail(value, cure) if len(short) == len(named) else warn(value, cure)


def compare_memory(gpus: Gpus, needed: int) -> Verdict:
    """The same for bytes that are needed at least."""
    told = f"{format_bytes(needed)} of weights and moments alone, of {format_bytes(gpus.memory_bytes)}"
    if needed > gpus.memory_bytes:
        return fail(told, "choose a smaller model.config, or a larger GPU in resources.ordered")
    if needed > gpus.free_bytes:
        return fail(
            f"{told}, of which {format_bytes(gpus.free_bytes)} are free", "end what else uses the GPU: nvidia-smi"
        )
    return ok(told)


def torch_cuda() -> str | None:
    """The CUDA that torch was built with, such as 13.0, read from its files; None for a build without, or no torch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "version.py"
    found = re.search(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else None
