"""Kernel: a matrix product and our scan on a device, held to the CPU's: `python -m ten.doctor.kernel cuda`.

`cuda` is every GPU that torch sees. Prints the largest relative errors as JSON; exit code 1 where one is too large. A
process of its own, since a device that is broken takes its process with it.
"""

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = {"bf16 product": 2.0**-7, "scan": 1e-4, "scan's gradient": 1e-4}
"""Relative to the largest value: one rounding of bf16 to either side; float32 added up over a few hundred steps."""
_ROWS, _STEPS, _STATES = 2, 257, 24


def errors_on(device: str) -> dict[str, float]:
    """Relative errors of a device beside float64 on the CPU; larger than `LARGEST` is wrong."""
    import torch

    from ten.scan import scan
    from ten.scan.reference import reference_scan

    make = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> "Tensor":
        return torch.randn(shape, generator=make)

    left, right = normal(96, 320).bfloat16(), normal(320, 160).bfloat16()
    product = (left.to(device) @ right.to(device)).cpu()
    pushes, log_decay = normal(_ROWS, _STEPS, 2 * _STATES), -normal(_ROWS, _STEPS, _STATES).abs()
    phase, weights = normal(_ROWS, _STEPS, _STATES), normal(_ROWS, _STEPS, 2 * _STATES)

    moved = [tensor.clone().to(device).requires_grad_() for tensor in (pushes, log_decay, phase)]
    states, _ = scan(moved[0], moved[1], moved[2])
    found = torch.autograd.grad((states * weights.to(device)).sum(), moved)
    exact = [tensor.double().requires_grad_() for tensor in (pushes, log_decay, phase)]
    start = torch.zeros(_ROWS, 2 * _STATES, dtype=torch.float64)
    wanted, _ = reference_scan(exact[0], exact[1], exact[2], start, None)
    true = torch.autograd.grad((wanted * weights.double()).sum(), exact)
    return {
        "bf16 product": relative_error(product, left.double() @ right.double()),
        "scan": relative_error(states.detach().cpu(), wanted.detach()),
        "scan's gradient": max(relative_error(one.cpu(), other) for one, other in zip(found, true, strict=True)),
    }


def relative_error(found: "Tensor", true: "Tensor") -> float:
    """Largest deviation as a part of the largest true value; not finite where something is not."""
    return float((found.double() - true.double()).abs().max() / true.double().abs().max())


def too_large(errors: dict[str, float]) -> list[str]:
    """The results that are wrong."""
    return [name for name, error in errors.items() if not error <= LARGEST[name]]


def devices(name: str) -> list[str]:
    """The devices that a name stands for: `cuda` is all there are, or itself where torch sees none and will say so."""
    if name != "cuda":
        return [name]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or [name]


def main() -> int:
    """Run on the devices that the command line names."""
    found = {device: errors_on(device) for device in devices(sys.argv[1])}
    wrong = [
        f"{name} on {device}: relative error {errors[name]:.2g}, at most {LARGEST[name]:.2g}"
        for device, errors in found.items()
        for name in too_large(errors)
    ]
    if wrong:
        sys.stderr.write(", ".join(wrong))
        return 1
    sys.stdout.write(json.dumps({name: max(errors[name] for errors in found.values()) for name in LARGEST}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
