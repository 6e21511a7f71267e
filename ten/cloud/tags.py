"""Tags: what a droplet says of itself to whoever lists them: that it is ours, whose run it is, when its lease ends."""

import re
from collections.abc import Iterable

OURS = "ten"
_RUN, _EXPIRES = "ten-run-", "ten-expires-"


def run_tag(run: str) -> str:
    """The tag of a run's droplets. A tag has no dots, a run's id no colons."""
    return _RUN + run.replace(".", ":")


def expiry_tag(epoch: float) -> str:
    """The tag of a lease that ends at `epoch`, Unix seconds."""
    return f"{_EXPIRES}{round(epoch)}"


def run_of(tags: Iterable[str]) -> str | None:
    """The run that a droplet is for; None where no tag says."""
    return next((tag.removeprefix(_RUN).replace(":", ".") for tag in tags if tag.startswith(_RUN)), None)


def expiry_of(tags: Iterable[str]) -> int | None:
    """When a droplet's lease ends, Unix seconds: the latest that any tag says, for a lease may be prolonged."""
    found = (re.fullmatch(rf"{_EXPIRES}(\d{{1,12}})", tag) for tag in tags)
    return max((int(match[1]) for match in found if match), default=None)
