"""A packer process may be begun before its order is known, and is gone when nobody takes it."""

import signal
import time
from pathlib import Path

from ten.data.packer import Packer
from ten.data.packer_messages import PackerOrder
from ten.data.packer_start import StartedPacker
from ten.data.recipe import Recipe
from tests.data.small import is_alive


def test_a_process_that_is_begun_early_packs_what_it_is_told(recipe: Recipe, tmp_path: Path) -> None:
    started = StartedPacker(str(tmp_path))
    packer = Packer(PackerOrder(recipe=recipe, store=str(tmp_path), engine="tokenizers"), started=started)
    try:
        packer.request(2)
        packer.wait_done(2)
        started.close()  # it is somebody's now
        packer.request(3)
        packer.wait_done(3)
    finally:
        packer.close()


def test_a_process_that_nobody_takes_is_ended() -> None:
    started = StartedPacker("s3://bucket/prefix")
    process = started._process.pid
    assert is_alive(process)
    started.close()
    assert not is_alive(process)


def test_a_process_says_where_it_is_when_asked_and_that_it_has_ended() -> None:
    started = StartedPacker("ten-data")
    deadline = time.monotonic() + 60
    while "packer_process.py" not in (said := started.stacks()):  # it does not listen yet
        assert time.monotonic() < deadline, said
    assert "in main" in said
    started.close()
    assert started.stacks() == f"it has ended with {-signal.SIGKILL}"
