"""Footprints: a level that a card has, and settings that make it so, by the same formula that plans print."""

from typing import Any

import msgspec
import pytest

from ten.hardware import Gpu, find_gpu
from ten.model.memory_table import LevelMemory
from ten.model.presets import PRESETS
from ten.quote.footprint import Footprint
from ten.train.settings import TrainSettings


def _card(name: str) -> Gpu:
    card = find_gpu(name)
    assert card is not None
    return card


def _footprint(**train: Any) -> Footprint:
    return Footprint(config=PRESETS["large"].config, vocabulary=50257, seq_len=8192, train=TrainSettings(**train))


def test_the_level_is_the_fastest_whose_cards_the_table_names() -> None:
    footprint = _footprint(micro_batch_rows=1)
    for name in ("H200", "L40S", "RTX 4000 Ada"):
        named = [row for row in footprint.table() if name in row.cards]
        assert footprint.level_on(_card(name), 1) == (named[0] if named else None)
    fixed = _footprint(micro_batch_rows=1, memory="keep")
    assert fixed.level_on(_card("L40S"), 1) is None
    assert fixed.least(1) == fixed.table()[0].bytes


@pytest.mark.parametrize("train", [{"memory": "keep"}, {"memory": "select", "micro_batch_rows": 12}])
def test_a_cure_cures(train: dict[str, Any]) -> None:
    footprint, card = _footprint(**train), _card("H200")
    assert footprint.level_on(card, 1) is None
    settings = dict(setting.removeprefix("train.").split("=") for setting in footprint.cure(card, 1))
    assert settings
    changed: dict[str, Any] = {n: value if n == "memory" else int(value) for n, value in settings.items()}
    cured = msgspec.structs.replace(footprint, train=msgspec.structs.replace(footprint.train, **changed))
    assert cured.level_on(card, 1) is not None


@pytest.mark.parametrize("rows", [5, 6, 12, 64])
def test_fewer_rows_at_a_time_keep_the_steps(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_rows(*_: object, micro_batch_rows: int, **__: object) -> list[LevelMemory]:
        cards = ("L40S",) if micro_batch_rows <= 4 else ()
        return [LevelMemory(level="keep", bytes=micro_batch_rows, cards=cards, card_bytes=None)]

    monkeypatch.setattr("ten.quote.footprint.memory_table", by_rows)
    cure = _footprint(micro_batch_rows=rows, gradient_accumulation=2).cure(_card("L40S"), 1)
    fewer = max(some for some in range(1, 5) if 2 * rows % some == 0)
    assert cure == (f"train.micro_batch_rows={fewer}", f"train.gradient_accumulation={2 * rows // fewer}")


def test_a_model_too_large_for_a_card_has_no_cure_and_several_cards_share_it() -> None:
    footprint = msgspec.structs.replace(_footprint(micro_batch_rows=1), config=PRESETS["xlarge"].config)
    assert footprint.cure(_card("RTX 4000 Ada"), 1) == ()
    assert footprint.least(4) < footprint.least(1)
    replicated = msgspec.structs.replace(footprint, train=TrainSettings(micro_batch_rows=1, shard="replicate"))
    assert replicated.least(4) == replicated.least(1)
