"""Document masks: by their definition, token by token."""

import torch

from ten.model.documents import documents, steps_in_document

STARTS = torch.tensor([[0, 0, 1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 1, 0, 1, 0]], dtype=torch.bool)


def test_a_tap_reaches_back_to_the_start_of_its_document_only() -> None:
    reach = documents(STARTS, 4).reach.squeeze(-1)
    for j in range(1, 4):
        for row in range(2):
            for t in range(8):
                between = STARTS[row, max(t - j + 1, 0) : t + 1]
                assert reach[j - 1, row, t] == (not between.any())


def test_what_is_handed_on_belongs_to_the_last_document() -> None:
    assert documents(STARTS, 4).tail.squeeze(-1).tolist() == [[False, False, True], [False, True, True]]


def test_a_call_shorter_than_the_taps_keeps_what_was_carried() -> None:
    starts = torch.tensor([[False], [True]])
    assert documents(starts, 4).tail.squeeze(-1).tolist() == [[True, True, True], [False, False, True]]


def test_without_convolution_there_is_nothing_to_mask() -> None:
    found = documents(STARTS, 0)
    assert found.reach.shape == (0, 2, 8, 1)
    assert found.tail.shape == (2, 0, 1)


def test_positions_count_from_the_start_of_the_document() -> None:
    steps = steps_in_document(STARTS, 8, torch.tensor([5, 7]))
    assert steps.tolist() == [[5, 6, 0, 1, 2, 3, 4, 0], [0, 0, 1, 2, 0, 1, 0, 1]]
    assert steps_in_document(None, 3, torch.tensor([5, 7])).tolist() == [[5, 6, 7], [7, 8, 9]]
