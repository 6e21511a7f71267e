"""metrics.jsonl: appended, cut back on resume, read."""

from pathlib import Path

import pytest

from ten.errors import DataError, DiskFull, MissingInput
from ten.train.metrics import MetricsLog, StepMetrics, last_lines, lines_until, read_metrics, tokens_at


def metrics(step: int, held_out: float | None = None) -> StepMetrics:
    return StepMetrics(
        step=step, tokens=step * 10, loss=1.5, lr=0.1, grad_norm=2.0, tokens_per_s=5.0, data_wait_s=0.0,
        rows_sha256="ab", seconds=float(step), held_out_bits_per_byte=held_out,
    )  # fmt: skip


def test_what_is_appended_is_in_the_file_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl", step=0)
    for step in (1, 2):
        log.append(metrics(step))
        assert [line.step for line in read_metrics(tmp_path / "run" / "metrics.jsonl")] == list(range(1, step + 1))


def test_resume_drops_later_steps_and_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, step=0)
    for step in range(1, 6):
        log.append(metrics(step))
    path.write_bytes(path.read_bytes() + b'{"step":6,"tok')
    assert len(read_metrics(path)) == 5
    MetricsLog(path, step=3)
    assert read_metrics(path) == [metrics(1), metrics(2), metrics(3)]


def test_a_late_evaluation_replaces_the_last_line_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, step=0)
    log.append(metrics(1))
    log.append(metrics(2))
    log.amend(metrics(2, held_out=1.25))
    assert log.last() == metrics(2, held_out=1.25)
    log.append(metrics(3))
    assert [line.held_out_bits_per_byte for line in read_metrics(path)] == [None, 1.25, None]


def test_a_foreign_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"loss": "high"}\n')
    with pytest.raises(DataError, match="loss"):
        read_metrics(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"nowhere\.jsonl"):
        read_metrics(tmp_path / "nowhere.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_an_error_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, step=0)
    path.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"metrics\.jsonl: no room to write"):
        log.append(metrics(1))


def test_lines_until_a_step_are_those_a_checkpoint_goes_with(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert lines_until(path, 3) == b""
    log = MetricsLog(path, step=0)
    for step in range(1, 6):
        log.append(metrics(step))
    path.write_bytes(path.read_bytes() + b'{"step":6,"tok')
    assert [line.step for line in last_lines(lines_until(path, 3))] == [1, 2, 3]
    assert [line.step for line in last_lines(lines_until(path, 9))] == [1, 2, 3, 4, 5]


def test_last_lines_begin_behind_a_line_that_is_cut_off(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", step=0)
    for step in range(1, 6):
        log.append(metrics(step))
    data = (tmp_path / "metrics.jsonl").read_bytes()
    assert [line.step for line in last_lines(data[5:] + b'{"step":6,"tok')] == [2, 3, 4, 5]


def test_tokens_come_from_the_newest_line_that_tells(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert tokens_at(path, 0) == 0
    assert tokens_at(path) is None
    log = MetricsLog(path, step=0)
    for step in range(1, 1001):
        log.append(metrics(step))
    assert (tokens_at(path), tokens_at(path, 998), tokens_at(path, 5000)) == (10_000, 9980, 10_000)
    assert tokens_at(path, 2) is None  # far from the end
