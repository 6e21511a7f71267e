"""Followers: the trainer's end of its sinks: a process for each is started, watched from afar, and let go."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

LEAVE_S = 15.0
"""What all sinks together may take for their last lines when the attempt ends; whoever needs longer is ended."""
_LOG = "sink.log"
_SHOWN = 500


@contextmanager
def following(names: Sequence[str], run_folder: Path, from_step: int) -> Iterator[None]:
    """Within the block each sink is told what the run's metrics.jsonl says.

    A sink that fails is a warning and nothing else; one that hangs is left behind. Nothing of this is in the way of a
    step: each is a process that reads the file.
    """
    followers = [one for name in names if (one := _start(name, run_folder, from_step)) is not None]
    try:
        yield
    finally:
        deadline = time.monotonic() + LEAVE_S
        for follower in followers:
            follower.let_go()
        for follower in followers:
            follower.leave(deadline)


class _Follower:
    """One sink's process, and a thread that waits for its end to say what went wrong."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
        self._name, self._process, self._log_path = name, process, log_path
        self._is_leaving = False
        self._thread = threading.Thread(target=self._watch, name=f"sink {name}", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Tell it that nothing more comes."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def leave(self, deadline: float) -> None:
        """Wait for its end, and end it when it is late."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._is_leaving = True
            self._process.kill()
            self._thread.join()
            log.warning("sink %s: did not end within %.0f s; the next attempt tells it the rest", self._name, LEAVE_S)

    def _watch(self) -> None:
        code = self._process.wait()
        if code and not self._is_leaving:
            log.warning("sink %s is left out from here on: %s (%s)", self._name, self._reason(code), self._log_path)

    def _reason(self, code: int) -> str:
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:_SHOWN] if lines else f"exit code {code}"


def _start(name: str, run_folder: Path, from_step: int) -> _Follower | None:
    folder = run_folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            output = stack.enter_context((folder / _LOG).open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "ten.sinks.replay", name, str(run_folder), str(from_step)],
                stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        log.warning("sink %s is left out: %s", name, error)
        return None
    return _Follower(name, process, folder / _LOG)
