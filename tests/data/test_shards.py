"""A shard describes and verifies itself: whatever is damaged is refused, never read as other tokens."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from ten.data.shards import FORMAT, Shard, ShardHeader, encode_shard, head_bytes, open_shard, parse_shard
from ten.errors import DataError
from tests.data.small import documents_of, make_shard_bytes, run_python

DOCUMENTS = [[5, 6, 7, 0], [0], [65_535, 1, 0]]


def arrays_of(shard: Shard) -> dict[str, list[int]]:
    names = ("tokens", "document_ends", "held_out_tokens", "held_out_ends", "held_out_bytes")
    return {name: getattr(shard, name).tolist() for name in names}


@given(st.lists(st.lists(st.integers(0, 65_535), min_size=1, max_size=9), max_size=9), st.sampled_from(["U16", "U32"]))
def test_what_is_encoded_is_read(documents: list[list[int]], dtype: str) -> None:
    shard = parse_shard(make_shard_bytes(documents, dtype=dtype, unit=7), "x")
    assert documents_of(shard) == documents
    assert shard.tokens.dtype == ("<u2" if dtype == "U16" else "<u4")
    assert (shard.header.tokens, shard.header.documents, shard.header.unit) == (
        sum(map(len, documents)),
        len(documents),
        7,
    )
    assert arrays_of(shard)["held_out_tokens"] == [1, 2, 0] and shard.held_out_bytes.tolist() == [7]


def test_large_ids_need_u32() -> None:
    assert documents_of(parse_shard(make_shard_bytes([[70_000, 0]], dtype="U32"), "x")) == [[70_000, 0]]


@pytest.mark.parametrize("documents", [DOCUMENTS, []], ids=["documents", "none"])
def test_the_safetensors_library_reads_the_same_arrays(tmp_path: Path, documents: list[list[int]]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(make_shard_bytes(documents))
    shard = open_shard(path)
    assert {name: array.tolist() for name, array in load_file(path).items()} == arrays_of(shard)
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    assert msgspec.json.decode(metadata["ten"], type=ShardHeader) == shard.header


def test_every_array_is_aligned() -> None:
    data = make_shard_bytes([[1, 2, 0]])
    shard = parse_shard(data, "x")
    base = np.frombuffer(data, dtype=np.uint8).ctypes.data
    for name in ("tokens", "document_ends", "held_out_tokens", "held_out_ends", "held_out_bytes"):
        array = getattr(shard, name)
        assert (array.ctypes.data - base) % array.itemsize == 0


def test_bytes_are_the_same_in_every_process() -> None:
    code = "import sys; from tests.data.small import make_shard_bytes; print(make_shard_bytes([[1, 2, 0]]).hex())"
    expected = make_shard_bytes([[1, 2, 0]]).hex()
    for seed in ("1", "2"):
        assert run_python(code, PYTHONHASHSEED=seed, PYTHONPATH=str(Path(__file__).parents[2])).strip() == expected


def refused(data: bytes, path: Path) -> bool:
    path.write_bytes(data)
    with pytest.raises(DataError, match=path.name):
        open_shard(path)
    with pytest.raises(DataError, match="the name"):
        parse_shard(data, "the name")
    return True


def test_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    whole = make_shard_bytes(DOCUMENTS)
    for at in range(len(whole)):
        bit = 1 << random.Random(at).randrange(8)
        assert refused(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :], tmp_path / "flipped")


def test_every_cut_and_every_surplus_is_refused(tmp_path: Path) -> None:
    whole = make_shard_bytes(DOCUMENTS)
    for length in [*range(40), *range(40, len(whole), 13), *range(len(whole) - 20, len(whole))]:
        assert refused(whole[:length], tmp_path / "cut")
    for surplus in (b"\x00", b"\x00" * 8, whole):
        assert refused(whole + surplus, tmp_path / "long")


def test_pages_of_zeros_are_refused(tmp_path: Path) -> None:
    """What a power cut leaves of a file that was never flushed."""
    whole = make_shard_bytes([[k % 65_535, 0] for k in range(5000)])
    assert refused(whole[:4096] + bytes(len(whole) - 4096), tmp_path / "zeros")
    assert refused(bytes(len(whole)), tmp_path / "zeros")


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="noise"):
        parse_shard(data, "noise")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["__metadata__", "ten", "tokens", "x"]), inner, max_size=3),
    ),
    max_leaves=8,
)


def framed(head: bytes, payload: bytes = b"") -> bytes:
    return len(head).to_bytes(8, "little") + head + payload


@given(JSON, st.binary(max_size=20))
def test_other_json_headers_are_refused(tree: Any, payload: bytes) -> None:
    with pytest.raises(DataError, match="noise"):
        parse_shard(framed(json.dumps(tree).encode(), payload), "noise")


def test_a_deeply_nested_header_is_refused() -> None:
    with pytest.raises(DataError, match="noise"):
        parse_shard(framed(b"[" * 100_000), "noise")


def lies() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("tokens", "documents", "held_out_tokens", "held_out_documents", "skipped", "unit"):
        for change in (-1, 1, -(2**40), 2**40, "5", None, 1.5):
            yield name, {name: change}
    yield "dtype", {"dtype": "U32"}
    yield "dtype", {"dtype": "F32"}
    yield "fingerprint", {"fingerprint": "0" * 64}
    yield "tokenizer", {"tokenizer": "0" * 64}
    yield "sha256", {"sha256": "0" * 64}
    yield "sha256", {"sha256": ""}


@pytest.mark.parametrize(("name", "lie"), [*lies()], ids=lambda value: str(value))
def test_a_header_that_lies_is_refused(name: str, lie: dict[str, Any]) -> None:
    whole = make_shard_bytes(DOCUMENTS)
    length = int.from_bytes(whole[:8], "little")
    tree = json.loads(whole[8 : 8 + length])
    header = json.loads(tree["__metadata__"]["ten"])
    (change,) = lie.values()
    if type(change) is int:
        change += header[name]
    header[name] = change
    tree["__metadata__"]["ten"] = json.dumps(header, separators=(",", ":"))
    with pytest.raises(DataError, match="liar"):
        parse_shard(framed(json.dumps(tree, separators=(",", ":")).encode(), whole[8 + length :]), "liar")


def test_a_header_whose_arrays_lie_elsewhere_is_refused() -> None:
    whole = make_shard_bytes(DOCUMENTS)
    length = int.from_bytes(whole[:8], "little")
    tree = json.loads(whole[8 : 8 + length])
    for field in ("tokens", "document_ends"):
        for key, value in [("shape", [1]), ("dtype", "I16"), ("data_offsets", [0, 8])]:
            moved = json.loads(json.dumps(tree))
            moved[field][key] = value
            with pytest.raises(DataError, match="does not agree with itself"):
                parse_shard(framed(json.dumps(moved, separators=(",", ":")).encode(), whole[8 + length :]), "liar")


def test_another_format_is_refused_by_number() -> None:
    shard = parse_shard(make_shard_bytes(DOCUMENTS), "x")
    arrays = {name: getattr(shard, name) for name in arrays_of(shard)}
    newer = encode_shard(msgspec.structs.replace(shard.header, format=FORMAT + 1), arrays)
    with pytest.raises(
        DataError, match=rf"future: shard format {FORMAT + 1}, and this version reads {FORMAT}; pack again"
    ):
        parse_shard(newer, "future")


def test_a_shard_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_shard(tmp_path / "nowhere")


def test_without_verifying_the_layout_is_still_checked(tmp_path: Path) -> None:
    whole = make_shard_bytes(DOCUMENTS)
    (tmp_path / "cut").write_bytes(whole[:-2])
    with pytest.raises(DataError, match="cut short or overlong"):
        open_shard(tmp_path / "cut", verify=False)


def test_a_shard_s_head_ends_with_a_mebibyte_of_its_tokens() -> None:
    for count in (10, 2**19, 2**19 + 1, 10**6):
        data = make_shard_bytes([[1] * count])
        whole = parse_shard(data, "x")
        size = head_bytes(whole.header)
        assert size == len(data) - max(0, 2 * count - 2**20)
