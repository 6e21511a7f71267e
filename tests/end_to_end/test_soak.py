"""A short soak: ten faults over an object store and a folder, and nobody can tell. `make soak` is the long one."""

import logging
from pathlib import Path

import pytest

from tests.soak.soak import soak
from tests.standins.s3 import S3Stand

log = logging.getLogger(__name__)


@pytest.mark.timeout(600)
def test_runs_under_ten_faults_are_the_undisturbed_one_to_the_bit(stand: S3Stand, tmp_path: Path) -> None:
    report = soak(tmp_path, stand, seed=3, count=10, a_run=5, steps=80, tell=log.warning)
    assert report.faults >= 10
    assert report.runs >= 2
