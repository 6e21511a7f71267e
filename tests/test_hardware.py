"""Cards by the names that torch, price lists and jobs give them."""

import pytest

from ten.hardware import find_gpu, known_gpus


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX 4000 Ada Generation", "RTX 4000 Ada"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA B200", "B200"),
    ],
)
def test_a_card_is_known_by_the_name_torch_has_for_it(name: str, card: str) -> None:
    found = find_gpu(name)
    assert found and found.name == card


@pytest.mark.parametrize("name", ["NVIDIA A10", "NVIDIA RTX A6000", "NVIDIA L40", "Tesla T4", "AMD EPYC 9654", ""])
def test_an_unknown_card_has_no_figures(name: str) -> None:
    assert find_gpu(name) is None


def test_every_card_is_found_by_its_own_name() -> None:
    assert [find_gpu(card.name) for card in known_gpus()] == list(known_gpus())


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX 4000 SFF Ada Generation",
    ],
)
def test_a_slice_and_a_lesser_card_are_not_their_namesakes(name: str) -> None:
    assert find_gpu(name) is None
