"""What the verify verb is pointed at."""

from pathlib import Path

import pytest

from ten.errors import MissingInput
from ten.verify import find_path, verify


def test_a_pack_or_run_may_be_named_as_it_is_in_the_store(tmp_path: Path) -> None:
    pack, run = tmp_path / "packs" / "tales-0123", tmp_path / "runs" / "train-tales-nano"
    (pack / "shards").mkdir(parents=True)
    run.mkdir(parents=True)
    assert find_path("tales-0123", tmp_path) == pack
    assert find_path("train-tales-nano", tmp_path) == run
    assert find_path(str(pack), tmp_path / "other") == pack
    assert find_path(None, tmp_path) == tmp_path
    assert verify(pack).unfinished == (str(pack),)
    with pytest.raises(MissingInput, match="did you mean 'tales-0123'"):
        find_path("tales-0124", tmp_path)
