"""The fault soak as a command: `python -m tests.soak`, or `make soak`."""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.soak import Report, soak
from tests.soak.supervisor import Finding
from tests.standins.s3 import S3Stand

_ABOUT = """\
Packs and trains a tiny model again and again, over an object store (a stand-in on this machine) and over a folder in
turn, and brings about faults meanwhile: SIGKILL for the trainer, the packer process, `ten pack` and the store's server,
SIGTERM, a lost machine, a full disk, flipped bits and cut ends in shards, journals, manifests and checkpoints here and
in the store, connections cut, answers 503, wrong bytes; each attempt in another mode. Every run must end with the rows,
losses, weights and moments of one that nobody disturbed, to the bit, and a store that `ten verify` finds sound. A
traceback, a hang or an exit code after which no supervisor would go on is a finding: exit code 1, and the logs stay.

The seed decides which faults come in which order; what they hit depends on how fast the machine is."""


def main() -> int:
    """Run a soak from the command line; the exit code."""
    arguments = _arguments()
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    folder, began = Path(tempfile.mkdtemp(prefix="ten-soak-")), time.monotonic()

    def tell(said: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.0f} s  {said}\n")
        sys.stdout.flush()

    tell(f"seed {seed}, in {folder}")
    try:
        with S3Stand() as stand:
            report = soak(
                folder, stand, seed=seed, count=arguments.faults, a_run=arguments.a_run, steps=arguments.steps,
                seconds=60 * arguments.minutes, tell=tell,
            )  # fmt: skip
    except Finding as finding:
        tell(f"FOUND with seed {seed} (logs: {folder / 'logs'}): {finding}")
        return 1
    shutil.rmtree(folder)
    sys.stdout.write(_table(report))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="of the faults; drawn and printed when not given")
    parser.add_argument("--faults", type=int, default=200, help="to survive (200)")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no further run begins (60)")
    parser.add_argument("--a-run", type=int, default=14, help="faults in one run, at most (14)")
    parser.add_argument("--steps", type=int, default=160, help="of a run (160)")
    return parser.parse_args()


def _table(report: Report) -> str:
    lines = [f"{kind:<20}{count:>6}" for kind, count in sorted(report.happened.items())]
    ends = ", ".join(f"{code}: {count}" for code, count in sorted(report.ended.items(), key=lambda end: int(end[0])))
    return "\n".join(
        [
            "",
            *lines,
            f"{'faults survived':<20}{report.faults:>6}",
            f"{report.runs} runs, each the same as the undisturbed one; {report.seconds:.0f} s, seed {report.seed}",
            f"attempts by exit code: {ends}; mode switched {report.switches} times",
            *(f"not tried: {skipped}" for skipped in report.skipped),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
