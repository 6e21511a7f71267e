"""Known GPUs: what the maker's data sheet says of each. An unknown card has no figures, never a guess."""

from typing import NamedTuple


class Gpu(NamedTuple):
    """One card as its data sheet has it."""

    name: str
    """As jobs and price lists call it."""
    bf16_flops: float
    """Peak operations a second of dense bf16 matrix products that add up in fp32."""
    memory_bytes: int
    bandwidth: float
    """Bytes a second between its memory and its processors."""


def _gpu(name: str, teraflops: float, memory_gib: int, gigabytes_per_second: float) -> Gpu:
    return Gpu(name, teraflops * 1e12, memory_gib * 2**30, gigabytes_per_second * 1e9)


# A sheet's figure "with sparsity" is twice the dense one. More specific names stand first: the first match counts.
_CARDS: tuple[tuple[tuple[str, ...], Gpu], ...] = (
    (("B200",), _gpu("B200", 2250.0, 180, 8000.0)),
    (("H200", "NVL"), _gpu("H200 NVL", 835.0, 141, 4800.0)),
    (("H200",), _gpu("H200", 989.0, 141, 4800.0)),
    (("H100", "NVL"), _gpu("H100 NVL", 835.0, 94, 3900.0)),
    (("H100", "PCIE"), _gpu("H100 PCIe", 756.0, 80, 2000.0)),
    (("H100",), _gpu("H100", 989.0, 80, 3350.0)),
    (("A100", "40GB"), _gpu("A100 40GB", 312.0, 40, 1555.0)),
    (("A100", "PCIE"), _gpu("A100 80GB PCIe", 312.0, 80, 1935.0)),
    (("A100",), _gpu("A100", 312.0, 80, 2039.0)),
    (("L40S",), _gpu("L40S", 362.0, 48, 864.0)),
    (("RTX", "6000", "ADA"), _gpu("RTX 6000 Ada", 364.2, 48, 960.0)),
    (("RTX", "4000", "ADA"), _gpu("RTX 4000 Ada", 106.9, 20, 360.0)),
    (("RTX", "4090"), _gpu("RTX 4090", 165.2, 24, 1008.0)),
    (("A10G",), _gpu("A10G", 70.0, 24, 600.0)),
    (("L4",), _gpu("L4", 121.0, 24, 300.0)),
)


_OTHERS = {"MIG", "LAPTOP", "D", "SFF"}
"""Words in names of slices of cards, and of lesser ones than their namesakes."""


def find_gpu(name: str) -> Gpu | None:
    """The card that torch, a price list or a job calls `name`; None for one that is not in the table."""
    words = set(name.upper().replace("-", " ").replace("_", " ").split())
    if words & _OTHERS:
        return None
    return next((card for marks, card in _CARDS if words.issuperset(marks)), None)


def known_gpus() -> tuple[Gpu, ...]:
    """The whole table."""
    return tuple(card for _, card in _CARDS)
