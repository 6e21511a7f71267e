"""Store checks: eight megabytes there and back, a write that must be refused, the store's clock, its keys."""

import hashlib
import os
import re
import secrets
import time
from contextlib import nullcontext

from ten.doctor.finding import Verdict, fail, ok, skipped, warn
from ten.doctor.probes import borrowed
from ten.doctor.subject import Subject
from ten.store.s3_abilities import PROBE
from ten.store.s3_settings import read_settings
from ten.units import format_bytes, format_seconds

PROBE_BYTES = 8 * 2**20
MOST_SKEW_S = 300.0
"""Services refuse signatures of clocks that are a quarter of an hour off; a third of that is a fault."""
_FAILED = "the store's round trip failed"
_PLACEHOLDER = re.compile(r"…|\.\.\.|<.*>|x{4,}|change.?me|your[-_ ]|example", re.IGNORECASE)


def check_keys(subject: Subject) -> Verdict:
    """Whether the variables that the store and the job's secrets need are set; their names alone are told."""
    spec, remote = subject.spec, subject.spec.store.startswith("s3://")
    named = list(spec.secrets)
    if remote:
        keys = read_settings(spec.store).keys
        named += [keys.id_from, keys.secret_from]
    odd = [name for name in dict.fromkeys(named) if _PLACEHOLDER.search(os.environ.get(name, ""))]
    if odd:
        return fail(f"stand for something and are no keys: {', '.join(odd)}", "put the real values into .env")
    missing = [name for name in spec.secrets if not os.environ.get(name)]
    if missing:
        told = f"not set: {', '.join(missing)}; a rented machine gets them from here"
        return warn(told, "set them in .env before `ten up`, or take them out of the job's secrets")
    if not named:
        return skipped("a folder as the store and a job without secrets need no keys")
    return ok(f"set: {', '.join(dict.fromkeys(named))}")


def check_round_trip(subject: Subject) -> Verdict:
    """Write 8 MiB, read them back, compare hashes, time both ways, take them away."""
    subject.store_failed = True
    store, data = subject.store, secrets.token_bytes(PROBE_BYTES)
    key = f"{PROBE}{secrets.token_hex(8)}"
    with nullcontext() if store.root is None else borrowed(store.root):
        try:
            begun = time.perf_counter()
            store.write(key, data)
            written = time.perf_counter()
            there = store.stat(key)
            if there is not None and there.modified is not None:
                subject.store_clock_ahead_s = there.modified - time.time()
            asked = time.perf_counter()
            back = store.read(key)
            read = time.perf_counter()
        finally:
            store.delete(key)
    if hashlib.sha256(back).digest() != hashlib.sha256(data).digest():
        return fail(f"{store.url}: {format_bytes(len(back))} came back that are not those sent", "use another store")
    subject.upload_bytes_per_s = PROBE_BYTES / (written - begun)
    subject.store_failed = False
    up, down = subject.upload_bytes_per_s, PROBE_BYTES / (read - asked)
    return ok(
        f"{store.url}: {format_bytes(PROBE_BYTES)} there and back with equal sha256: "
        f"{format_bytes(round(up))}/s there, {format_bytes(round(down))}/s back"
    )


def check_second_write(subject: Subject) -> Verdict:
    """Whether an object that must be new is refused where there is one: what keeps two trainers of a run apart."""
    if subject.store_failed:
        return skipped(_FAILED)
    store, key = subject.store, f"{PROBE}{secrets.token_hex(8)}"
    with nullcontext() if store.root is None else borrowed(store.root):
        try:
            first, second = store.write_new(key, b"first"), store.write_new(key, b"second")
            kept = store.read(key)
        finally:
            store.delete(key)
    if (first, second, kept) != (True, False, b"first"):
        return fail(f"{store.url}: a second write replaced the first", "use another store: this one loses work")
    from ten.store.s3 import S3Store  # the client takes 0.2 s to import, and a folder needs none

    if isinstance(store, S3Store) and not store.refuses_second:
        return warn(
            f"{store.url}: the service does not know If-None-Match; we look before we write, which leaves a gap",
            "never begin the same pack or run on two machines at once",
        )
    return ok(f"{store.url}: a second write of a new name is refused")


def check_clock(subject: Subject) -> Verdict:
    """Whether this machine's clock and that of the store agree."""
    if subject.store_failed:
        return skipped(_FAILED)
    ahead = subject.store_clock_ahead_s
    if ahead is None:
        return skipped("the store does not say when it wrote")
    if abs(ahead) > MOST_SKEW_S:
        side = "behind" if ahead > 0 else "ahead of"
        told = f"this machine's clock is {format_seconds(abs(ahead))} {side} the store's"
        return fail(told, "set the clock: timedatectl set-ntp true")
    return ok(f"this machine's clock and the store's agree to {max(1, round(abs(ahead)))} s")
