"""How long a fuzz test explores: the same few examples every time, or (slow) thousands of new ones."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Explore = Callable[[st.SearchStrategy[Any], Callable[[Any], object]], None]
_QUICK = settings(max_examples=150, derandomize=True)
_DEEP = settings(max_examples=3000, print_blob=True)


@pytest.fixture(params=[_QUICK, pytest.param(_DEEP, marks=pytest.mark.slow)], ids=["quick", "deep"])
def explore(request: pytest.FixtureRequest) -> Explore:
    """Calls a check with examples of a strategy, and shows the smallest that fails."""
    profile: settings = request.param
    phases = [Phase.explicit, Phase.generate, Phase.shrink]

    def run(examples: st.SearchStrategy[Any], check: Callable[[Any], object]) -> None:
        @settings(profile, database=None, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))
        @given(examples)
        def holds(example: Any) -> None:
            check(example)

        holds()

    return run
