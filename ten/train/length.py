"""How many tokens a run trains on: fixed once, at its start, from integers that every mode knows."""

from ten.errors import SpecError
from ten.train.settings import TrainSettings
from ten.units import parse_count


def run_tokens(settings: TrainSettings, *, step_tokens: int, epoch_tokens: int | None) -> int:
    """Tokens of the whole run, by all ranks: `steps` decide before `tokens`, `tokens` before `epochs`.

    `step_tokens` is the global batch. `epoch_tokens` may be None where nobody knows them; a run by epochs is then a
    SpecError. The run ends with the first step that reaches the number, so it may train on a part of a batch more.
    """
    if settings.steps is not None:
        return settings.steps * step_tokens
    if settings.tokens is not None:
        return parse_count(settings.tokens)
    if not epoch_tokens:
        raise SpecError(
            f"train.epochs: {settings.epochs:g} epochs have no known length here; set train.tokens or train.steps"
        )
    return max(1, round(settings.epochs * epoch_tokens))
