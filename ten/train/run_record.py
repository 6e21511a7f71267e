"""run.json: what a run is and each attempt at it, written anew as a whole so that it is never torn."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ten.errors import DataError
from ten.store.durable import write_atomically


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

    @property
    def cost(self) -> float:
        """Dollars it cost, up to its end or last sign of life; 0 where the price is not known."""
        last = self.ended or self.seen or self.started
        return (last - self.started).total_seconds() / 3600 * (self.price_per_hour or 0.0)


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run: its spec, the length that was fixed when it began, its attempts so far."""

    run: str
    created: datetime
    spec: dict[str, Any]
    total_tokens: int
    global_rows: int = 0
    """Rows of one optimizer step, all ranks together."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def cost(self) -> float:
        """Dollars of all attempts whose price is known."""
        return sum(attempt.cost for attempt in self.attempts)

    def begin(
        self,
        *,
        device: str,
        mode: str,
        world_size: int,
        from_step: int,
        started: datetime | None = None,
        price_per_hour: float | None = None,
    ) -> "RunRecord":
        """With one more attempt, that starts now unless it `started` earlier."""
        attempt = Attempt(
            started=started or now(),
            device=device,
            mode=mode,
            world_size=world_size,
            from_step=from_step,
            price_per_hour=price_per_hour,
        )
        return msgspec.structs.replace(self, attempts=(*self.attempts, attempt))

    def seen(self) -> "RunRecord":
        """With the last attempt alive now."""
        last = msgspec.structs.replace(self.attempts[-1], seen=now())
        return msgspec.structs.replace(self, attempts=(*self.attempts[:-1], last))

    def end(self, *, to_step: int, reason: str) -> "RunRecord":
        """With the last attempt ended now."""
        last = msgspec.structs.replace(self.attempts[-1], ended=now(), to_step=to_step, reason=reason)
        return msgspec.structs.replace(self, attempts=(*self.attempts[:-1], last))

    def is_older_than(self, other: "RunRecord") -> bool:
        """Whether `other`, of the same run, knows of later events."""
        return self._age() < other._age()

    def _age(self) -> tuple[datetime, int, bool]:
        last = self.attempts[-1] if self.attempts else None
        return (last.started if last else self.created, len(self.attempts), last is not None and last.ended is not None)


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
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name}: no run record ({error}); put a sound one back, or start another run with --set run=NAME"
        ) from error


def write_run(path: Path, record: RunRecord) -> None:
    """Replace the record at `path` in one move; raises DiskFull."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def now() -> datetime:
    """The present second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)
