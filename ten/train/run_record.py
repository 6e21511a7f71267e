"""run.json: a run's receipt: what it is, each attempt at it, what they came to. Written as a whole, never torn."""

import hashlib
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ten.errors import DataError, TenError
from ten.store.durable import write_atomically
from ten.train.machine import Machine

FINISHED = "finished"
"""The reason of an attempt that reached the run's length."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One life of the process that trains the run."""

    started: datetime
    device: str
    """Name of the CPU or GPU."""
    mode: str
    world_size: int
    from_step: int
    ended: datetime | None = None
    """None while it runs, and for ever where it was killed."""
    to_step: int | None = None
    reason: str | None = None
    """Why it ended: finished, a signal's name, or the error."""
    price_per_hour: float | None = None
    """Dollars; None where nobody said."""
    seen: datetime | None = None
    """The last sign of life, for attempts that were killed."""
    machine: Machine = Machine()
    job_sha256: str | None = None
    """Of the resolved job: equal for equal settings."""
    from_tokens: int | None = None
    to_tokens: int | None = None
    """Targets that the run had been trained on when it began, and at its end or last sign of life."""

    @property
    def seconds(self) -> float:
        """By the clock, up to its end or last sign of life."""
        return ((self.ended or self.seen or self.started) - self.started).total_seconds()

    @property
    def cost(self) -> float:
        """Dollars it cost, up to its end or last sign of life; 0 where the price is not known."""
        return self.seconds / 3600 * (self.price_per_hour or 0.0)

    @property
    def tokens(self) -> int | None:
        """Targets trained on by it; None where it was not noted."""
        return None if self.from_tokens is None or self.to_tokens is None else self.to_tokens - self.from_tokens


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts of a run came to."""

    seconds: float
    """By the clock, preparation included."""
    tokens: int | None
    """Targets that the run has been trained on; what a kill threw away is paid for and not among them."""
    dollars: float | None
    """None unless the price of every attempt is known."""
    tokens_per_dollar: float | None
    reason: str | None
    """Why the last attempt ended; None while it runs."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run: its spec, the length that was fixed when it began, its attempts so far."""

    run: str
    created: datetime
    spec: dict[str, Any]
    total_tokens: int
    global_rows: int = 0
    """Rows of one optimizer step, all ranks together."""
    attempts: tuple[Attempt, ...] = ()
    total: Total | None = None
    """As of the last writing."""

    @property
    def cost(self) -> float:
        """Dollars of all attempts whose price is known."""
        return sum(attempt.cost for attempt in self.attempts)

    @property
    def unpriced(self) -> int:
        """How many attempts nobody told the price of."""
        return sum(attempt.price_per_hour is None for attempt in self.attempts)

    def begin(
        self,
        *,
        device: str,
        mode: str,
        world_size: int,
        from_step: int,
        started: datetime | None = None,
        price_per_hour: float | None = None,
        machine: Machine | None = None,
        from_tokens: int | None = None,
    ) -> "RunRecord":
        """With one more attempt, that starts now unless it `started` earlier."""
        attempt = Attempt(
            started=started or now(),
            device=device,
            mode=mode,
            world_size=world_size,
            from_step=from_step,
            price_per_hour=price_per_hour,
            machine=machine or Machine(),
            job_sha256=job_sha256(self.spec),
            from_tokens=from_tokens,
            to_tokens=from_tokens,
        )
        return self._with(*self.attempts, attempt)

    def seen(self, *, to_tokens: int | None = None) -> "RunRecord":
        """With the last attempt alive now, and so far."""
        return self._with(*self.attempts[:-1], self._last(to_tokens, seen=now()))

    def end(self, *, to_step: int, reason: str, to_tokens: int | None = None) -> "RunRecord":
        """With the last attempt ended now."""
        return self._with(*self.attempts[:-1], self._last(to_tokens, ended=now(), to_step=to_step, reason=reason))

    def _last(self, to_tokens: int | None, **changes: Any) -> Attempt:
        """The last attempt, changed; what is not known of its tokens stays as it was."""
        if to_tokens is not None:
            changes["to_tokens"] = to_tokens
        return msgspec.structs.replace(self.attempts[-1], **changes)

    def _with(self, *attempts: Attempt) -> "RunRecord":
        return msgspec.structs.replace(self, attempts=attempts, total=_total(attempts))

    @property
    def is_finished(self) -> bool:
        """Whether its last attempt reached the length that the run had then."""
        return bool(self.attempts) and self.attempts[-1].reason == FINISHED

    def in_vain(self) -> int:
        """How many attempts in a row, up to the last, have ended without a step."""
        count = 0
        for attempt in reversed(self.attempts):
            if attempt.ended is None or attempt.to_step is None or attempt.to_step > attempt.from_step:
                break
            count += 1
        return count

    def is_older_than(self, other: "RunRecord") -> bool:
        """Whether `other`, of the same run, knows of later events."""
        return self._age() < other._age()

    def _age(self) -> tuple[datetime, int, bool]:
        last = self.attempts[-1] if self.attempts else None
        return (last.started if last else self.created, len(self.attempts), last is not None and last.ended is not None)


def _total(attempts: tuple[Attempt, ...]) -> Total:
    """What the attempts came to; there is one at least."""
    dollars = sum(one.cost for one in attempts) if all(one.price_per_hour is not None for one in attempts) else None
    tokens = attempts[-1].to_tokens
    return Total(
        seconds=sum(one.seconds for one in attempts),
        tokens=tokens,
        dollars=dollars,
        tokens_per_dollar=tokens / dollars if tokens is not None and dollars else None,
        reason=attempts[-1].reason,
    )


def job_sha256(spec: Mapping[str, Any]) -> str:
    """Hash of a resolved job, whatever the order of its settings."""
    return hashlib.sha256(msgspec.json.encode(spec, order="sorted")).hexdigest()


def read_run(path: Path) -> RunRecord | None:
    """The record at `path`; None when there is none, DataError when it is no run record."""
    try:
        return decode_run(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None


def decode_run(data: bytes, name: str) -> RunRecord:
    """The record in the content of a run.json that is called `name`; DataError when it is none."""
    try:
        return msgspec.json.decode(data, type=RunRecord)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name}: no run record ({error}); put a sound one back, or start another run with --set run=NAME"
        ) from error


def write_run(path: Path, record: RunRecord) -> None:
    """Replace the record at `path` in one move; raises DiskFull."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def reason_of(error: BaseException) -> str:
    """Why an attempt ended that an error has ended, in words."""
    if isinstance(error, KeyboardInterrupt):  # outside of the training loop, with the signal's number if not Ctrl-C
        number = error.args[0] if error.args else signal.SIGINT
        return f"stopped by {signal.Signals(number).name}"
    return str(error) if isinstance(error, TenError) else repr(error)


def now() -> datetime:
    """The present second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)
