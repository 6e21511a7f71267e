"""What whoever waits for a pack is told."""

import logging

import pytest

from ten.data.pack_progress import PackProgress
from ten.data.packing import Work
from ten.data.recipe import Recipe


def test_a_line_has_shards_text_rate_and_time_left(recipe: Recipe, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    units = len(recipe.units)
    progress, work = PackProgress(recipe, [*range(1, units)]), Work()
    progress.start(work)
    progress.tell()
    work.text_bytes = 3 * 2**20
    progress.tell()
    progress.finish()
    progress.tell()
    silent, first, second = caplog.messages
    assert silent.startswith(f"pack: 1 of {units} shards, no text has come for 0.")
    assert first.startswith(f"pack: 1 of {units} shards, 3.0 MiB of text so far, ")
    assert second.startswith(f"pack: 2 of {units} shards, 3.0 MiB of text so far, ")
    assert all(line.endswith(" left") for line in (first, second))


def test_shards_that_are_lost_no_longer_count(recipe: Recipe) -> None:
    progress = PackProgress(recipe, [])
    progress.lose(2)
    assert progress.shards == f"{len(recipe.units) - 2} of {len(recipe.units)} shards"
