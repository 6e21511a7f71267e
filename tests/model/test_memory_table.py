"""Which level fits which card."""

from ten.hardware import find_gpu
from ten.model.memory import LEVELS
from ten.model.memory_table import describe_level, memory_table
from ten.model.presets import PRESETS


def test_a_card_is_named_where_it_has_the_memory() -> None:
    rows = memory_table(
        PRESETS["large"].config, 50257,
        seq_len=32768, micro_batch_rows=1, segment=2048, precision="auto", accumulates=True,
    )  # fmt: skip
    assert tuple(row.level for row in rows) == LEVELS
    for row in rows:
        cards = [card for card in map(find_gpu, row.cards) if card is not None]
        assert len(cards) == len(row.cards)
        assert all(row.bytes < card.memory_bytes for card in cards)
        assert (cards[0].memory_bytes if cards else None) == row.card_bytes
    assert rows[0].cards == ()
    assert "L40S" in rows[-1].cards
    assert describe_level(rows[0]).endswith("no known card")
    assert describe_level(rows[-1]).startswith("segments ")
    assert describe_level(rows[-1]).endswith("or larger")


def test_fp32_takes_more() -> None:
    both = [
        memory_table(
            PRESETS["tiny"].config, 50257,
            seq_len=2048, micro_batch_rows=8, segment=2048, precision=precision, accumulates=False,
        )
        for precision in ("bf16", "fp32")
    ]  # fmt: skip
    assert all(fp32.bytes > bf16.bytes for bf16, fp32 in zip(*both, strict=True))
