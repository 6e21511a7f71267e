"""Weights & Biases: a run of the same id, gone on with where it stands; set up by its own environment variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ten.errors import CredentialsError, MissingInput

PROJECT = "ten"


class WeightsAndBiases:
    """Logs to the run that has the id of ours; WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE are its own variables.

    Online it wants WANDB_API_KEY and does not ask for one. Steps that it has already are not sent again: it would
    refuse them, and those of a resumed run are the same.
    """

    def __init__(self, folder: Path, run: str, spec: Mapping[str, Any], _after: int) -> None:
        if os.environ.get("WANDB_MODE") not in ("offline", "disabled") and not os.environ.get("WANDB_API_KEY"):
            raise CredentialsError("WANDB_API_KEY is not set; put it into .env, or set WANDB_MODE=offline")
        try:
            import wandb
        except ImportError as error:
            raise MissingInput(f"{error}; pip install 'ten[wandb]'") from None
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run,
            name=run,
            resume="allow",
            dir=str(folder),
            config=dict(spec),
            settings=wandb.Settings(
                console="off", disable_git=True, disable_code=True, silent=True, x_disable_stats=True
            ),
        )
        self._run.define_metric("tokens", hidden=True)

    def write(self, step: int, tokens: int, seconds: float, values: Mapping[str, float]) -> None:
        """One row of its history."""
        if step >= self._run.step:
            self._run.log({**values, "tokens": tokens, "seconds": seconds}, step=step)

    def flush(self) -> None:
        """It sends by itself."""

    def close(self) -> None:
        """Send the rest."""
        self._run.finish()
