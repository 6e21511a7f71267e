"""Engines: each must prove itself; a liar is passed over."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ten.text import engines
from ten.text.engines import ENGINES, PROBE, Encoder, Ids, choose_encoder
from ten.text.tokens import Tokenizer, load_tokenizer
from tests.data.small import make_texts, small_tokenizer

TEXT = st.one_of(
    st.text(max_size=300), st.text(alphabet="ab \r\n\t'strelvdm1٣.,<|>_\u00a0\u2028é日🙂\u200d", max_size=300)
)


@pytest.fixture(scope="module", params=["gpt2", "small"])
def both(request: pytest.FixtureRequest) -> tuple[Tokenizer, dict[str, Encoder]]:
    """A tokenizer and every engine for it."""
    tokenizer = load_tokenizer("gpt2") if request.param == "gpt2" else small_tokenizer()
    return tokenizer, {name: make(tokenizer) for name, make in ENGINES.items()}


@given(text=TEXT)
def test_every_engine_gives_the_ids_of_the_reference(both: tuple[Tokenizer, dict[str, Encoder]], text: str) -> None:
    tokenizer, encoders = both
    expected = tokenizer.encode(text)
    for name, encoder in encoders.items():
        ids = encoder.encode(text)
        assert ids.dtype == np.uint32, name
        assert ids.tolist() == expected, name


NEW_IN_UNICODE_17 = [
    0x88F, 0xC5C, 0xCDC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7F1, 0x10940, 0x10EC5, 0x11DB0, 0x11DE0, 0x16EA0, 0x16FF2, 0x187F8,
    0x18D09, 0x18D80, 0x1E6C0, 0x1E6FE, 0x2B73A, 0x2CEA2, 0x323B0, 0x33479,
]  # fmt: skip


@pytest.mark.parametrize("point", NEW_IN_UNICODE_17, ids=hex)
def test_engines_agree_on_letters_that_unicode_added_last(
    both: tuple[Tokenizer, dict[str, Encoder]], point: int
) -> None:
    tokenizer, encoders = both
    text = f"{chr(point)}'s1{chr(point)} {chr(point)}.{chr(point)}a"
    for name, encoder in encoders.items():
        assert encoder.encode(text).tolist() == tokenizer.encode(text), name


def test_an_engine_that_another_is_asked_for_stays_usable(both: tuple[Tokenizer, dict[str, Encoder]]) -> None:
    """Engines may reuse buffers: what was given before must not change."""
    _, encoders = both
    for encoder in encoders.values():
        first = encoder.encode(PROBE[0])
        copy = first.copy()
        encoder.encode(PROBE[5] * 10)
        assert np.array_equal(first, copy)


def test_the_fastest_engine_that_agrees_is_chosen_without_a_word() -> None:
    encoder, notes = choose_encoder(small_tokenizer(), make_texts(20))
    assert (encoder.name, notes) == ("gigatoken", [])


@pytest.mark.parametrize("wanted", ENGINES)
def test_a_wanted_engine_is_taken(wanted: str) -> None:
    encoder, notes = choose_encoder(small_tokenizer(), [], wanted)
    assert (encoder.name, notes) == (wanted, [])


class _Liar:
    name = "liar"

    def __init__(self, change: Callable[[str, list[int]], list[int]]) -> None:
        self._change = change

    def encode(self, text: str) -> Ids:
        return np.array(self._change(text, small_tokenizer().encode(text)), dtype=np.uint32)


def _fail(text: str, ids: list[int]) -> list[int]:
    raise OverflowError("too hard\nsecond line")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda _, ids: ids[:-1], r'differs from the reference on "Hello, world'),
        (lambda text, ids: ids if text in PROBE else ids[::-1], r"differs from the reference on '0 "),
        (_fail, r'differs from the reference on "Hello, world.*: too hard$'),
    ],
    ids=["on the probe", "on the sample", "by failing"],
)
def test_a_lying_engine_is_passed_over_with_a_note(monkeypatch: pytest.MonkeyPatch, change: Any, note: str) -> None:
    import re

    monkeypatch.setattr(engines, "ENGINES", {"liar": lambda _: _Liar(change), **ENGINES})
    for wanted, taken in (("auto", "gigatoken"), ("liar", "tokenizers")):
        encoder, notes = choose_encoder(small_tokenizer(), make_texts(5), wanted)
        assert encoder.name == taken
        assert len(notes) == 1 and re.search(r"^liar " + note, notes[0])


def test_an_engine_that_cannot_be_loaded_is_passed_over_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Tokenizer) -> Encoder:
        raise ImportError("no such library")

    monkeypatch.setattr(engines, "ENGINES", {"absent": refuse, **ENGINES})
    encoder, notes = choose_encoder(small_tokenizer(), [])
    assert encoder.name == "gigatoken"
    assert notes == ["absent cannot read tokenizer small: no such library"]


def test_a_new_encoder_goes_on_where_the_old_one_was(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = small_tokenizer()
    engine, reference = ENGINES["gigatoken"](tokenizer), ENGINES["tokenizers"](tokenizer)
    begun = vars(engine)["_encoder"]
    monkeypatch.setattr(engines, "_CHARACTERS_REMEMBERED", 50)
    for text in ("some words to remember", "and more of them, many more", "and the last ones"):
        assert np.array_equal(engine.encode(text), reference.encode(text))
    assert vars(engine)["_encoder"] is not begun
