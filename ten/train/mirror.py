"""Mirror: a run's folder sent to its store in the background, so that checkpoints outlive the machine."""

import hashlib
import logging
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from ten.errors import CredentialsError, Resumable, SpecError, StoreError, TenError
from ten.train.beside import contents
from ten.train.checkpoint_files import read_seal, step_of
from ten.train.stopping import StopRequest
from ten.train.stored_run import RECORD, StoredRun, try_to_retain
from ten.train.traffic import Traffic

log = logging.getLogger(__name__)

_POLL_S = 0.1
_NOTHING = Traffic("sending", 0)
_LEAVE_S = 5.0
"""Time for the thread to end in, and for the record of the attempt's end where a stop's grace is over."""


class _Abandoned(Exception):
    """Raised within a transfer that nobody waits for any more."""


class Mirror:
    """One thread that sends one checkpoint at a time; at most one more waits, and a newer one takes its place.

    What is sent or waits must not be deleted meanwhile: `held` names it. A checkpoint that cannot be sent is a warning,
    and the next one is tried; keys that the store refuses, and another process that trains the run, ask `stop` to end
    it. Used as a context it leaves when the newest checkpoint and run.json are in the store, or raises StoreError or
    CredentialsError where they are not.
    """

    def __init__(self, run: StoredRun, folder: Path, *, keep_last: int, stop: StopRequest, grace_s: float) -> None:
        self.stored = run.newest
        """Step of the newest complete checkpoint in the store."""
        self._run, self._folder, self._keep_last = run, folder, keep_last
        self._stop, self._grace_s = stop, grace_s
        self._changed = threading.Condition()
        self._newest: Path | None = None
        self._waiting: Path | None = None
        self._sending: Path | None = None
        self._noted = self._is_begun = self._is_busy = self._is_closing = self._was_interrupted = False
        self._failure: TenError | None = None
        self._bug: Exception | None = None
        self._lost: TenError | None = None
        self._traffic = _NOTHING
        self._sent: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, KeyboardInterrupt):
                self._stop.note_signal()
            lost = self._lost or self.settle("the attempt ended")
            if lost is None and self._is_begun and self._failure is None:
                self.note()
                self._wait(_LEAVE_S)
        finally:
            self._close()
        if self._bug is not None:
            raise self._bug
        if lost is not None and (error is None or isinstance(error, KeyboardInterrupt)):
            raise lost
        if lost is not None and error is not lost:
            log.error("%s", lost)
        if error is None and self.stored is not None:
            log.info("in the store: %s", self._run.checkpoint(self.stored))

    def note(self) -> None:
        """run.json or metrics.jsonl have changed: send them soon."""
        with self._changed:
            self._noted = self._is_begun = True
            self._changed.notify_all()

    def last_words(self, _reason: str) -> None:
        """Send run.json and what lies beside it, for a moment: the process is about to be ended."""
        self.note()
        with self._changed:
            self._changed.wait_for(lambda: not self._has_work(), _LEAVE_S)

    def offer(self, folder: Path) -> None:
        """Send a checkpoint when the one on its way is there, unless the store has it."""
        with self._changed:
            self._newest = folder
            if self.stored == step_of(folder) or self._sending == folder or self._is_refused:
                return
            if self._waiting is not None and self._waiting != folder:
                name = self._waiting.name
                log.info("%s is not sent: the store is slower than checkpoints are made; %s is", name, folder.name)
            self._waiting = folder
            self._changed.notify_all()

    def held(self) -> tuple[Path, ...]:
        """Checkpoints that must stay on this disk for now."""
        with self._changed:
            return tuple(folder for folder in (self._sending, self._waiting) if folder is not None)

    def farewell(self, said: str) -> TenError:
        """The error to leave with after a stop: Resumable where the newest checkpoint is in the store."""
        if (lost := self.settle(said)) is not None:
            return lost
        if self._failure is not None and self._is_refused:
            return type(self._failure)(f"{said}: {self._failure}")
        if self._newest is None:
            return Resumable(f"{said}; {self._stop.cure} to begin")
        return Resumable(f"{said}; in the store: {self._newest.name}; {self._stop.cure} to go on")

    def settle(self, said: str) -> TenError | None:
        """Wait for the newest checkpoint; the error to end with where it is not in the store.

        As long as it takes, and no longer than the grace once a stop has been asked for. `said` begins the error.
        """
        newest = self._newest
        if newest is None or self.stored == step_of(newest):
            return None
        if not self.held():
            self.offer(newest)  # it failed before: once more
        self._wait()
        if self.stored == step_of(newest):
            return None
        self._lost = self._explained(said, newest)
        return self._lost

    def _explained(self, said: str, newest: Path) -> TenError:
        kind: type[TenError] = StoreError
        if self._failure is not None:
            kind = type(self._failure) if self._is_refused else StoreError
            why = str(self._failure)
        else:
            why = "a second signal came" if self._was_interrupted else f"{self._grace_s:.0f} s of limits.stop_grace"
        older = "no checkpoint of the run" if self.stored is None else self._run.checkpoint(self.stored)
        return kind(
            f"{said}; {newest.name} is on this disk only ({newest}) and not in {self._run.store.url} ({why}); newest "
            f"there: {older}. Run the same command again on this machine, or "
            f"`ten push {self._folder} {self._run.store.url}`"
        )

    @property
    def _is_refused(self) -> bool:
        return isinstance(self._failure, CredentialsError | SpecError)

    def _wait(self, at_least_s: float = 0.0) -> None:
        """Until nothing is on its way, or a stop's grace is over, or a second signal comes."""
        enough = time.monotonic() + at_least_s
        try:
            with self._stop.listening():
                while self._has_work() and (time.monotonic() < enough or not self._is_late()):
                    self._show(self._traffic, enough)
        except KeyboardInterrupt:
            self._was_interrupted = True

    def _show(self, traffic: Traffic, enough: float) -> None:
        """Wait while this is what is on its way."""
        with traffic.shown() if traffic.total else nullcontext(lambda: None) as redraw:
            while self._has_work() and self._traffic is traffic:
                with self._changed:
                    self._changed.wait(_POLL_S)
                redraw()
                if time.monotonic() > enough and self._is_late():
                    return

    def _has_work(self) -> bool:
        with self._changed:
            return self._thread.is_alive() and (self._is_busy or self._noted or self._waiting is not None)

    def _is_late(self) -> bool:
        return self._stop.since is not None and time.monotonic() > self._stop.since + self._grace_s

    def _close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(_LEAVE_S)

    def _work(self) -> None:
        while self._take():
            try:
                if self._sending is None:
                    self._send_beside(self.stored)
                else:
                    self._send(self._sending)
                self._failure = None
            except _Abandoned:
                return
            except TenError as error:
                self._fail(error)
            except OSError as error:
                self._fail(StoreError(f"{error.filename}: cannot be read: {error.strerror}"))
            except Exception as bug:  # raised again by `__exit__`
                self._bug = bug
                self._stop.request("a bug")
                return

    def _take(self) -> bool:
        """Wait for something to do; False when there is nothing more."""
        with self._changed:
            self._sending, self._is_busy, self._traffic = None, False, _NOTHING
            self._changed.notify_all()
            while not (self._is_closing or self._noted or self._waiting):
                self._changed.wait()
            self._sending, self._waiting, self._noted, self._is_busy = self._waiting, None, False, True
            return not self._is_closing

    def _send(self, folder: Path) -> None:
        step = step_of(folder)
        self._traffic = Traffic(f"sending {folder.name}", sum(file.bytes for file in read_seal(folder).files.values()))
        self._run.send(folder, self._advance, lambda: self._send_beside(step))
        self.stored = self._run.newest
        try_to_retain(self._run, self._keep_last)

    def _send_beside(self, step: int | None) -> None:
        """What lies beside the checkpoints, metrics no further than `step`; what the store has stays there."""
        for name, data in contents(self._folder, step):
            digest = hashlib.sha256(data).digest()
            if self._sent.get(name) != digest:
                self._run.write(name, data)
                self._sent[name] = digest

    def _advance(self, count: int) -> None:
        self._traffic.advance(count)
        if self._is_closing:
            raise _Abandoned

    def _fail(self, error: TenError) -> None:
        self._failure = error
        if self._is_refused:
            with self._changed:
                self._waiting, self._noted = None, False
            is_key = isinstance(error, CredentialsError)
            self._stop.request("a store that refuses the key" if is_key else "another process that trains the run")
            return
        what = self._sending.name if self._sending else RECORD
        log.warning("%s could not be sent; it is kept here, and the next one is tried: %s", what, error)
