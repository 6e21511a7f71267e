"""Money: what a run had cost at each of its steps."""

import numpy as np
from numpy.typing import NDArray

from ten.report.history import History
from ten.train.run_record import RunRecord


def dollars_at(record: RunRecord, history: History) -> NDArray[np.float64] | None:
    """Dollars spent when each bucket of a history ended; None unless the price of every attempt is known.

    An attempt costs by the clock. Its time before the first step is paid for at its beginning; the steps that a kill
    threw away are paid for and not seen, so that the next attempt begins at a higher sum.
    """
    attempts = record.attempts
    if not attempts or any(attempt.price_per_hour is None for attempt in attempts):
        return None
    dollars, spent = np.zeros(len(history.steps)), 0.0
    for number, attempt in enumerate(attempts):
        until = attempts[number + 1].from_step if number + 1 < len(attempts) else history.steps[-1]
        mine = (history.steps > attempt.from_step) & (history.steps <= until)
        price = (attempt.price_per_hour or 0.0) / 3600
        begun = history.at_step(attempt.from_step).seconds
        trained = history.at_step(until).seconds - begun
        lost = attempt.to_step is None or attempt.to_step > until
        before = 0.0 if lost else max(0.0, attempt.cost - price * trained)
        at = spent + before + price * (history.seconds[mine] - begun)
        dollars[mine] = np.minimum(at, spent + attempt.cost) if attempt.ended or attempt.seen else at
        spent += attempt.cost
    return np.maximum.accumulate(dollars)
