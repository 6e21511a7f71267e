"""What tests of scans share: arguments of one, the definition in complex128, and comparison by name."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ten.scan import scan

LEAVES = ("inputs", "log_decay", "phase", "carry")


@dataclass(frozen=True)
class Case:
    """Arguments of one scan; they are what a gradient is asked for by name."""

    inputs: Tensor
    log_decay: Tensor
    phase: Tensor
    carry: Tensor
    starts: Tensor | None

    def leaves(self, **changes: Tensor) -> "Case":
        """The same values as fresh leaves that ask for gradients."""
        case = replace(self, **changes)
        return replace(case, **{name: getattr(case, name).detach().clone().requires_grad_() for name in LEAVES})

    def to(self, device: str) -> "Case":
        """The same on a device."""
        starts = None if self.starts is None else self.starts.to(device)
        return replace(self, starts=starts, **{name: getattr(self, name).to(device) for name in LEAVES})

    def span(self, start: int, stop: int, carry: Tensor) -> "Case":
        """The steps from `start` to `stop`, entered with `carry`."""

        def cut(value: Tensor) -> Tensor:
            return value if value.dim() == 1 else value[:, start:stop]

        starts = None if self.starts is None else cut(self.starts)
        return Case(cut(self.inputs), cut(self.log_decay), cut(self.phase), carry, starts)

    def run(self, backend: str, chunk: int | None = None) -> tuple[Tensor, Tensor]:
        """The public scan, or the backend's operator where the length of its chunks is named."""
        if chunk is None:
            return scan(self.inputs, self.log_decay, self.phase, carry=self.carry, starts=self.starts, backend=backend)
        operator = getattr(torch.ops.ten, f"{backend}_scan")
        result: tuple[Tensor, Tensor] = operator(
            self.inputs, self.log_decay, self.phase, self.carry, self.starts, chunk
        )
        return result


def make_case(
    shape: tuple[int, int, int],
    *,
    decay: str = "selective",
    phase: str = "fixed",
    starts: bool = False,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Case:
    rows, steps, width = shape
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=g, dtype=torch.float64).to(dtype)

    def eigen(kind: str) -> Tensor:
        return normal(width) if kind == "fixed" else normal(rows, steps, width)

    return Case(
        inputs=normal(rows, steps, 2 * width),
        log_decay=-0.3 * eigen(decay).abs(),
        phase=2 * eigen(phase),
        carry=normal(rows, 2 * width),
        starts=torch.rand((rows, steps), generator=g) < 0.15 if starts else None,
    )


def doubled(case: Case) -> Case:
    """The same in fp64."""
    return replace(case, **{name: getattr(case, name).double() for name in LEAVES})


def complex_loop(case: Case) -> tuple[Tensor, Tensor]:
    """The definition in complex128, one step at a time, differentiated by autograd."""
    real, imag = case.inputs.double().chunk(2, -1)
    pushes = torch.complex(real, imag)
    rows, steps, width = pushes.shape
    decay = case.log_decay.double().exp()
    if case.starts is not None:
        decay = decay.expand(rows, steps, width).masked_fill(case.starts[..., None], 0.0)
    eigen = torch.polar(decay.expand(rows, steps, width), case.phase.double().expand(rows, steps, width))
    state = torch.complex(*case.carry.double().chunk(2, -1))
    states = []
    for t in range(steps):
        state = eigen[:, t] * state + pushes[:, t]
        states.append(state)
    return as_halves(torch.stack(states, 1)), as_halves(state)


def as_halves(values: Tensor) -> Tensor:
    return torch.cat((values.real, values.imag), -1)


def gradients(case: Case, states: Tensor, final: Tensor, through: str) -> dict[str, Tensor]:
    """Gradients by name of a fixed random functional of the states, of the final carry, or of both."""
    g = torch.Generator().manual_seed(9)
    loss = torch.zeros((), dtype=torch.float64, device=states.device)
    for name, value in (("states", states), ("final", final)):
        weight = torch.randn(value.shape, generator=g, dtype=torch.float64).to(value.device)
        if through in (name, "both"):
            loss = loss + (weight * value.double()).sum()
    wanted = [getattr(case, name) for name in LEAVES]
    return dict(zip(LEAVES, torch.autograd.grad(loss, wanted), strict=True))


def assert_close(name: str, got: Tensor, wanted: Tensor, tolerance: float) -> None:
    scale = max(1.0, wanted.abs().max().item()) if wanted.numel() else 1.0
    error = (got.double() - wanted.double()).abs().max().item() / scale if wanted.numel() else 0.0
    assert got.shape == wanted.shape, name
    assert error <= tolerance, f"{name}: relative error {error:.2e}"


def assert_matches_loop(
    case: Case, backend: str, tolerance: float, through: str = "both", chunk: int | None = None
) -> None:
    """States, final carry and every gradient, against the complex loop."""
    ours, theirs = case.leaves(), case.leaves()
    states, final = ours.run(backend, chunk)
    states_wanted, final_wanted = complex_loop(theirs)
    assert_close("states", states, states_wanted, tolerance)
    assert_close("final", final, final_wanted, tolerance)
    wanted = gradients(theirs, states_wanted, final_wanted, through)
    for name, got in gradients(ours, states, final, through).items():
        assert_close(f"d {name}", got, wanted[name], tolerance)
