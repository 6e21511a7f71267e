"""Carried: which environment variables go along to a droplet, and the one file that holds them there."""

import os
import re
from collections.abc import Mapping, Sequence

from ten.errors import CredentialsError
from ten.render.container import PLAIN
from ten.store.s3_settings import read_settings

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def carried(secrets: Sequence[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The job's secrets and what the stores need to know, by name. Raises CredentialsError naming all that is not set
    and any value of more than one line; never a value."""
    if missing := [name for name in secrets if not environment.get(name)]:
        raise CredentialsError(f"secrets: not set: {', '.join(missing)}; set them here or in .env")
    if ours := [name for name in secrets if name.startswith("DIGITALOCEAN_")]:
        raise CredentialsError(f"secrets: {', '.join(ours)}: stays here; a job has no business with it")
    names = [*secrets, *(name for name in PLAIN if environment.get(name) and name not in secrets)]
    if broken := [name for name in names if _CONTROL.search(environment[name])]:
        raise CredentialsError(f"secrets: {', '.join(broken)}: has a line break or another control character in it")
    return {name: environment[name] for name in names}


def check_carried(store: str, values: Mapping[str, str]) -> None:
    """Raise CredentialsError where a job that has these variables alone could not open its store, or opened another."""
    try:
        there = read_settings(store, values)
    except CredentialsError as error:
        raise CredentialsError(f"secrets: names no keys for {store} ({error}); name them in the job file") from None
    here = read_settings(store)
    for what in ("endpoint", "region", "addressing", "keys"):
        if getattr(here, what) != getattr(there, what):
            raise CredentialsError(
                f"secrets: with what goes along {store} would have another {what} than here; name its variables in the "
                "job file, those with the bucket's name behind them too"
            )


def as_file(values: Mapping[str, str]) -> str:
    """The file that `docker run --env-file` reads: what is behind the first `=` is the value, quotes and all."""
    return "".join(f"{name}={value}\n" for name, value in values.items())
