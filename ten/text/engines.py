"""Encoding engines: the fastest implementation that proves, on this corpus, to give the reference's ids."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ten.text.tokens import Tokenizer, mergeable_ranks

Ids = NDArray[np.uint32]
_GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

_UNICODE_17 = (0x088F, 0x0C5C, 0x0CDC, 0xA7CE, 0xA7CF, 0xA7D2, 0xA7D4, 0xA7F1)
_UNICODE_17_RANGES = ((0x10940, 0x1E700), (0x2B73A, 0x40000))
"""Letters that came with Unicode 17, and some of their neighbours: most libraries do not know them as letters yet."""

_CHARACTERS_REMEMBERED = 2**27
"""A new gigatoken encoder costs 0.2 s, and this many characters some seconds."""

PROBE = (
    "Hello, world! It's  the year 2026; they've 1,234.5 things — don't they?",
    "\n'quoted' after a newline\r\n\tTabs\t\tand   runs   of spaces   \n\n\n  end ",
    "plain text: <|endoftext|> </s> [SEP] <s> <pad>",
    "naïve façade Ünïcödé ﬁ ½ ² Ⅷ \u00a0nbsp \u2028 line \u200b zero \ufeff bom",
    "日本語 한국어 العربية עברית हिन्दी ไทย ελληνικά русский 𝔘𝔫𝔦",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \x00\x01\x7f\x80\ud7ff\uffff\U0010ffff",
    "def f(x):\n    return x**2  # comment\n\n\nclass A:\n\tpass\n",
    "newly assigned: \u088f's \ua7ce1 \U00010940a \U000323b0't",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 8 + " " * 100 + "." * 100 + "1234567890" * 10,
)
"""Texts on which implementations have been seen to differ."""


class Encoder(Protocol):
    """One way to turn a text into ids."""

    name: str

    def encode(self, text: str) -> Ids:
        """The ids of a text, without special tokens."""


class _Engine:
    """An encoder made of its name and a function."""

    def __init__(self, name: str, encode: Callable[[str], Ids]) -> None:
        self.name = name
        self.encode = encode


def choose_encoder(tokenizer: Tokenizer, sample: Sequence[str], wanted: str = "auto") -> tuple[Encoder, list[str]]:
    """The first engine, fastest first, that agrees with `tokenizers` on the probe and on a sample of the corpus.

    Also returns what to tell the user: why faster engines were passed over. `wanted` names one engine to try first.
    """
    reference = _tokenizers(tokenizer)
    texts = (*PROBE, *sample)
    expected = [reference.encode(text) for text in texts]
    notes: list[str] = []
    names = [*ENGINES] if wanted == "auto" else [wanted]
    for name in names:
        if name == "tokenizers":
            break
        try:
            engine = ENGINES[name](tokenizer)
        except Exception as error:  # an engine may refuse a tokenizer, or fail to load, in any way it likes
            notes.append(f"{name} cannot read tokenizer {tokenizer.name}: {_brief(error)}")
            continue
        difference = _difference(engine, texts, expected)
        if difference is None:
            return engine, notes
        notes.append(f"{name} differs from the reference {difference}")
    return reference, notes


def _difference(engine: Encoder, texts: Sequence[str], expected: Sequence[Ids]) -> str | None:
    for text, ids in zip(texts, expected, strict=True):
        try:
            if not np.array_equal(engine.encode(text), ids):
                return f"on {text[:40]!r}"
        except Exception as error:  # third-party code on hostile text: a failure is a difference
            return f"on {text[:40]!r}: {_brief(error)}"
    return None


class _Gigatoken:
    """gigatoken, which remembers every word it has met: begun anew now and then, so that memory has a bound."""

    name = "gigatoken"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._reference = _tokenizers(tokenizer)
        self._begin()

    def encode(self, text: str) -> Ids:
        """The ids of a text, without special tokens."""
        if not text.isascii() and _has_unicode_17(text):  # gigatoken splits by Unicode 17, the reference by 16
            return self._reference.encode(text)
        self._characters += len(text)
        if self._characters > _CHARACTERS_REMEMBERED:
            self._begin()
        ids: Ids = self._encoder.encode(text)
        return ids

    def _begin(self) -> None:
        import gigatoken

        self._characters = 0
        self._encoder = gigatoken.Tokenizer.from_json(self._tokenizer.definition)


def _has_unicode_17(text: str) -> bool:
    """Whether a text has a letter of Unicode 17: looked up all at once, which beats a regular expression by far."""
    return bool(_unicode_17_table()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")].any())


@cache
def _unicode_17_table() -> NDArray[np.bool_]:
    table = np.zeros(0x110000, dtype=np.bool_)
    table[list(_UNICODE_17)] = True
    for first, end in _UNICODE_17_RANGES:
        table[first:end] = True
    return table


def _fastokens(tokenizer: Tokenizer) -> Encoder:
    import fastokens

    encoder = fastokens.Tokenizer.from_json_str(tokenizer.definition)
    return _Engine("fastokens", lambda text: np.frombuffer(encoder.encode_batch_flat([text])[0], dtype="<u4"))


def _tiktoken(tokenizer: Tokenizer) -> Encoder:
    import tiktoken

    ranks = mergeable_ranks(tokenizer.definition)
    if ranks is None:
        raise ValueError("it is no plain byte-level BPE")
    encoder = tiktoken.Encoding(tokenizer.fingerprint, pat_str=_GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return _Engine("tiktoken", lambda text: np.array(encoder.encode_ordinary(text), dtype=np.uint32))


def _tokenizers(tokenizer: Tokenizer) -> Encoder:
    return _Engine("tokenizers", lambda text: np.array(tokenizer.encode(text), dtype=np.uint32))


ENGINES: dict[str, Callable[[Tokenizer], Encoder]] = {
    "gigatoken": _Gigatoken,
    "fastokens": _fastokens,
    "tiktoken": _tiktoken,
    "tokenizers": _tokenizers,
}
"""Every engine, fastest first."""


def _brief(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
