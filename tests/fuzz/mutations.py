"""Mutations: what becomes of bytes and of JSON trees when something or somebody has been at them."""

import json
from typing import Any

from hypothesis import strategies as st

_ODD = (
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"', b"\\u0000", b"\\ud800", b"\n", b":", b",", b"-",
    b"null", b"1e999", b"NaN", b"-1", b"18446744073709551616", b"9" * 5000, b'{"a":' * 3000, b"[" * 3000,
)  # fmt: skip
"""Pieces that parsers stumble over."""
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "\0", "../../x", "/", "é", "0", "1970-01-01T00:00:00Z", "a" * 300])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
"""Anything that JSON can say."""


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes cut short, with bits flipped, pieces put in, taken out or doubled: one to three of these."""
    data = whole
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = at + draw(st.integers(0, 64))
        match draw(st.sampled_from(["cut", "flip", "put in", "take out", "double"])):
            case "cut":
                data = data[:at]
            case "flip" if data:
                data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
            case "put in":
                data = data[:at] + draw(st.sampled_from(_ODD) | st.binary(max_size=8)) + data[at:]
            case "take out":
                data = data[:at] + data[end:]
            case "double":
                data = data[:end] + data[at:]
    return data


@st.composite
def changed(draw: st.DrawFn, tree: Any) -> Any:
    """A JSON tree with one value, at any depth, left out or replaced by any other."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(tree)))
        if draw(st.integers(0, 4)) == 0:
            return {key: value for key, value in tree.items() if key != name}
        return tree | {name: draw(changed(tree[name]))}
    if isinstance(tree, list) and tree and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(tree) - 1))
        if draw(st.integers(0, 4)) == 0:
            return tree[:at] + tree[at + 1 :]
        return [*tree[:at], draw(changed(tree[at])), *tree[at + 1 :]]
    return draw(VALUES)


def documents(whole: bytes) -> st.SearchStrategy[bytes]:
    """A JSON object damaged as bytes, changed as a tree, nested without end, or replaced by any bytes."""
    deep = whole.replace(b"{", b'{"unknown":' + b"[" * 3000, 1)
    return mutated(whole) | changed(json.loads(whole)).map(encoded) | st.binary(max_size=40) | st.just(deep)


def encoded(tree: Any) -> bytes:
    """JSON of a tree."""
    return json.dumps(tree).encode()
