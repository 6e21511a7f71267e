"""stacks.txt of a run: where every thread was when the watchdog had it stopped."""

import faulthandler
import logging
from collections.abc import Callable
from pathlib import Path

from ten.train.run_record import now

log = logging.getLogger(__name__)
STACKS = "stacks.txt"


def keep_stacks(folder: Path, reason: str, packer: Callable[[], str] | None = None) -> None:
    """Append the stacks of all threads of this process, and what `packer` says of its process, to the run's file.

    Never waits for a thread that hangs: they are written by the interpreter without its lock. A disk that refuses them
    is said, and keeps nobody from stopping.
    """
    try:
        with (folder / STACKS).open("ab", buffering=0) as file:
            file.write(f"{now().isoformat()} {reason}\n\ntrainer\n".encode())
            faulthandler.dump_traceback(file)
            if packer is not None:
                file.write(f"\npacker\n{packer()}\n".encode())
            file.write(b"\n")
        log.error("where it hangs: %s", folder / STACKS)
    except OSError as error:
        log.error("%s: %s", folder / STACKS, error.strerror)
