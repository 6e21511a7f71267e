"""Which machines are quoted, and that what nobody knows stays unknown."""

from ten import prices
from ten.hardware import find_gpu
from ten.quote.machines import Machine, machines
from ten.resources import Offer, ResourceSettings


def _offer(name: str, infra: str = "do/tor1") -> Offer:
    return Offer(infra=infra, instance_type=name)


def test_every_listed_card_is_one_whose_figures_are_known() -> None:
    for size in prices.listed_sizes().values():
        card = find_gpu(size.gpu)
        assert card is not None and card.name == size.gpu
        assert card.memory_bytes * size.gpus <= size.vram_gib * 2**30 * 1.01


def test_a_list_is_quoted_in_its_order_each_machine_once() -> None:
    names = ["gpu-l40sx1-48gb", "gpu-h100x8-640gb", "gpu-l40sx1-48gb"]
    found = machines(ResourceSettings(ordered=tuple(_offer(name) for name in names), accelerators="H200:1"))
    assert [one.name for one in found] == names[:2]
    assert found[1] == Machine(name="gpu-h100x8-640gb", gpu="H100", gpus=8, price_per_hour=23.92)
    assert found[1].peak_flops == 8 * 989 * 10**12


def test_what_is_not_in_the_table_is_unknown() -> None:
    (far, near) = machines(ResourceSettings(ordered=(_offer("gpu-l40sx1-48gb", "other/here"), _offer("gpu-x9"))))
    for one in (far, near):
        assert (one.gpu, one.price_per_hour, one.peak_flops) == (None, None, None)


def test_accelerators_are_looked_up_in_the_table_of_prices() -> None:
    (found,) = machines(ResourceSettings(accelerators="H100:8"))
    assert (found.name, found.price_per_hour) == ("gpu-h100x8-640gb", 23.92)
    (two,) = machines(ResourceSettings(accelerators="L40S:2"))
    assert (two.name, two.gpu, two.price_per_hour) == ("L40S:2", "L40S", None)
    (odd,) = machines(ResourceSettings(accelerators="Banana:1"))
    assert (odd.gpu, odd.peak_flops) == (None, None)


def test_the_jobs_own_price_goes_first() -> None:
    (found,) = machines(ResourceSettings(accelerators="L40S", price_per_hour=0.5))
    assert (found.gpu, found.price_per_hour) == ("L40S", 0.5)
    (odd,) = machines(ResourceSettings(accelerators="Banana", price_per_hour=0.5))
    assert (odd.gpu, odd.price_per_hour) == (None, 0.5)
    assert {one.price_per_hour for one in machines(ResourceSettings(price_per_hour=0.5))} == {0.5}
    ordered = ResourceSettings(ordered=(_offer("gpu-l40sx1-48gb"),), price_per_hour=0.5)
    assert [one.price_per_hour for one in machines(ordered)] == [0.5]


def test_without_a_wish_every_single_card_with_a_price_is_quoted() -> None:
    found = machines(ResourceSettings())
    assert {one.gpu for one in found} == {"RTX 4000 Ada", "L40S", "RTX 6000 Ada", "H100", "H200"}
    assert all(one.gpus == 1 and one.price_per_hour for one in found)
