"""TensorBoard: event files beside a run, by TensorBoard's own writer."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ten.errors import MissingInput


class TensorBoard:
    """Writes `<folder>/events.out.tfevents.…`, a new file each time it is opened.

    The file begins with the mark of a restart: TensorBoard then forgets what older files say of the steps behind
    `after`, which a resumed run takes again.
    """

    def __init__(self, folder: Path, _run: str, _spec: Mapping[str, Any], after: int) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise MissingInput(f"{error}; pip install 'ten[tensorboard]'") from None
        self._events, self._summaries = event_pb2, summary_pb2
        self._writer = EventFileWriter(str(folder))
        self._began = time.time()
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._writer.add_event(event_pb2.Event(wall_time=self._began, step=after + 1, session_log=start))

    def write(self, step: int, _tokens: int, _seconds: float, values: Mapping[str, float]) -> None:
        """One event with a scalar for each value."""
        summary = self._summaries.Summary(
            value=[self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        )
        self._writer.add_event(self._events.Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Make what was written visible."""
        self._writer.flush()

    def close(self) -> None:
        """Write the rest."""
        self._writer.close()
