"""The cursor: a place in the global row order."""

import msgspec
import pytest

from ten.data.cursor import Cursor

START = Cursor(fingerprint="f" * 64, seed=3, seq_len=128)


def test_a_new_cursor_stands_at_the_beginning() -> None:
    assert (START.epoch, START.era, START.row_in_era, START.rows, START.tokens) == (0, 0, 0, 0, 0)


def test_moving_counts_rows_and_tokens_and_keeps_what_it_belongs_to() -> None:
    moved = START.moved(epoch=0, era=1, row_in_era=9, rows=12).moved(epoch=1, era=0, row_in_era=2, rows=4)
    assert moved == Cursor(
        fingerprint="f" * 64, seed=3, seq_len=128, epoch=1, era=0, row_in_era=2, rows=16, tokens=16 * 128
    )
    assert START.rows == 0


def test_a_cursor_of_another_version_is_not_misread() -> None:
    raw = msgspec.json.encode(START)[:-1] + b',"worker":1}'
    with pytest.raises(msgspec.ValidationError, match="worker"):
        msgspec.json.decode(raw, type=Cursor)
