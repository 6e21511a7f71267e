"""What counts as a spike."""

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ten.train.spikes import CROWD, MOST_ROLLBACKS, WINDOW, SpikeHistory, Spikes


def usual(steps: int = WINDOW, seed: int = 0) -> Spikes:
    spikes, draw = Spikes(), random.Random(seed)
    for _ in range(steps):
        assert spikes.judge(3.0 + draw.gauss(0, 0.1), 1.0 + draw.gauss(0, 0.05)) is None
    return spikes


def test_nothing_is_judged_before_there_is_enough_to_compare_with() -> None:
    assert usual(WINDOW - 1).judge(100.0, 100.0) is None


def test_a_loss_or_a_gradient_far_beyond_the_usual_is_named_with_the_bound() -> None:
    assert (usual().judge(30.0, 1.0) or "").startswith("loss 30, above 3.")
    assert (usual().judge(3.0, 9.0) or "").startswith("gradient norm 9, above 3.9")
    assert "; " in (usual().judge(30.0, 9.0) or "")
    assert usual().judge(0.1, 0.0) is None


def test_a_gradient_below_four_times_the_usual_is_none_however_steady_they_were() -> None:
    assert usual().judge(3.0, 3.8) is None
    assert (usual().judge(3.0, 4.2) or "").startswith("gradient norm 4.2")


def test_where_losses_are_higher_from_now_on_only_a_few_steps_are_skipped() -> None:
    spikes = usual()
    judged = [spikes.judge(6.0, 1.0) for _ in range(50)]
    assert judged[0] is not None
    assert sum(one is not None for one in judged) <= 8
    assert judged[-1] is None


def test_a_crowd_of_spikes_is_known_and_forgotten_with_the_weights() -> None:
    spikes, crowds, hopes = usual(), [], []
    for number in range(CROWD):
        crowds.append(spikes.are_a_crowd)
        assert spikes.judge(100.0 * 4**number, 1.0) is not None
    assert [*crowds, spikes.are_a_crowd] == [False] * CROWD + [True]
    for _ in range(MOST_ROLLBACKS):
        hopes.append(spikes.is_hopeless)
        spikes.note_rollback()
    assert [*hopes, spikes.is_hopeless, spikes.are_a_crowd] == [False] * MOST_ROLLBACKS + [True, False]
    assert spikes.judge(1e9, 1e9) is None


values = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=300)


@given(values, values)
def test_a_history_that_went_through_a_file_judges_alike(
    before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    spikes = Spikes()
    for loss, norm in before:
        spikes.judge(loss, norm)
    kept = msgspec.json.decode(msgspec.json.encode(spikes.history), type=SpikeHistory)
    again = Spikes(kept)
    assert [again.judge(*one) for one in after] == [spikes.judge(*one) for one in after]
    assert again.history == spikes.history


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_equal_losses_are_no_spikes(loss: float, norm: float) -> None:
    spikes = Spikes()
    for _ in range(WINDOW):
        spikes.judge(loss, norm)
    assert spikes.judge(loss, norm) is None
