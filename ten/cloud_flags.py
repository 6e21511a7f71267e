"""The flags of the verbs that rent machines and return them."""

import argparse

from ten.job_flags import add_job

EXAMPLES = {
    "up": "ten up jobs/train-pretok.yaml --dry-run\n"
    "  ten up jobs/train-pretok.yaml --store s3://my-bucket/ten --set limits.max_duration=6h --yes",
    "ps": "ten ps\n  ten ps --json",
    "logs": "ten logs\n  ten logs train-finewebedu-small --follow",
    "ssh": "ten ssh\n  ten ssh train-finewebedu-small nvidia-smi",
    "down": "ten down\n  ten down train-finewebedu-small --store s3://my-bucket/ten\n  ten down --force",
    "reap": "ten reap --dry-run\n  ten reap",
    "sizes": "ten sizes\n  ten sizes --json",
}
_WHICH = "a run's id, or a droplet's name or number; without one the only droplet there is"


def _add_up(parser: argparse.ArgumentParser, verb: str) -> None:
    add_job(parser, verb)
    parser.add_argument("--yes", action="store_true", help="do not ask before the droplet is made")
    parser.add_argument(
        "--lease",
        choices=("droplet", "external"),
        default="droplet",
        help="who destroys the droplet when its time is over: itself (with DIGITALOCEAN_LEASE_TOKEN), or `ten reap`",
    )


def _add_ps(parser: argparse.ArgumentParser, _verb: str) -> None:
    _add_store(parser)
    _add_json(parser)


def _add_logs(parser: argparse.ArgumentParser, _verb: str) -> None:
    _add_which(parser)
    parser.add_argument("--follow", "-f", action="store_true", help="go on until Ctrl-C; the job does not notice")
    parser.add_argument("--lines", type=int, default=200, metavar="N", help="the last N lines (200)")


def _add_ssh(parser: argparse.ArgumentParser, _verb: str) -> None:
    _add_which(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="without one a shell")


def _add_down(parser: argparse.ArgumentParser, _verb: str) -> None:
    _add_which(parser)
    _add_store(parser)
    parser.add_argument("--force", action="store_true", help="destroy it though its newest checkpoint is not proved")
    _add_json(parser)


def _add_reap(parser: argparse.ArgumentParser, _verb: str) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what has outlived its lease")


def _add_sizes(parser: argparse.ArgumentParser, _verb: str) -> None:
    _add_json(parser)


def _add_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="?", metavar="WHICH", help=_WHICH)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="STORE", help="s3://bucket/prefix that the runs are in (TEN_STORE)")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


VERBS = {
    "up": ("Rent a droplet for a job; price, longest time and end are fixed first.", _add_up),
    "ps": ("List our droplets: age, dollars so far, lease left, last checkpoint.", _add_ps),
    "logs": ("What a droplet's job says.", _add_logs),
    "ssh": ("Log in to a droplet, or run a command there.", _add_ssh),
    "down": ("Stop a droplet's job, prove its newest checkpoint in the store, destroy the droplet.", _add_down),
    "reap": ("Destroy every droplet of ours that has outlived its lease.", _add_reap),
    "sizes": ("List what can be rented: GPUs, prices, stock.", _add_sizes),
}
