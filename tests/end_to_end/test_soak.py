"""A short soak: a dozen faults over an object store and a folder, and nobody can tell. `make soak` is the long one."""

from pathlib import Path

import pytest

from tests.soak.soak import soak
from tests.standins.s3 import S3Stand


def test_ten_faults_leave_the_rows_losses_and_weights_of_an_undisturbed_run(
    stand: S3Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        pass
    report = soak(tmp_path, stand, seed=3, count=10, a_run=5, steps=80)
    assert report.faults >= 10 and report.runs >= 2
