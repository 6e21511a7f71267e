"""Cursor: where training is in the global row order; all that a resume needs to know about data."""

import msgspec


class Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Position after the last row *trained on* (never of what was only prefetched).

    It holds nothing per rank or worker, so a run may resume on any number of GPUs. `era` and `row_in_era` make the
    resume O(1): only the shards of that era are opened.
    """

    fingerprint: str
    """Of the pack's recipe: a cursor is meaningless on other data."""
    seed: int
    seq_len: int
    epoch: int = 0
    era: int = 0
    row_in_era: int = 0
    rows: int = 0
    """Rows consumed since the run began, by all ranks."""
    tokens: int = 0
    """Targets trained on since the run began, by all ranks."""

    def moved(self, *, epoch: int, era: int, row_in_era: int, rows: int) -> "Cursor":
        """The cursor after `rows` more rows, standing at the given place."""
        return msgspec.structs.replace(
            self,
            epoch=epoch,
            era=era,
            row_in_era=row_in_era,
            rows=self.rows + rows,
            tokens=self.tokens + rows * self.seq_len,
        )
