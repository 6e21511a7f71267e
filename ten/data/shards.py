"""Shard: one unit's tokens and where its documents end, in one safetensors file that describes and verifies itself."""

import hashlib
import json
import mmap
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ten.data.rows import Tokens
from ten.errors import DataError

FORMAT = 1
_DTYPES = {"U16": "<u2", "U32": "<u4", "U64": "<u8"}
_MAX_HEADER_BYTES = 2**20
_HEAD_TOKEN_BYTES = 2**20
"""Of tokens in the beginning of a shard that is fetched before the rest: some hundred thousand, a first few rows."""


Count = Annotated[int, msgspec.Meta(ge=0)]


class ShardHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard says of itself, kept as JSON under the key `ten` of the file's metadata."""

    format: int = FORMAT
    fingerprint: str
    """Of the recipe."""
    tokenizer: str
    """The tokenizer's fingerprint."""
    unit: Count
    dtype: Literal["U16", "U32"]
    tokens: Count
    documents: Count
    held_out_tokens: Count
    held_out_documents: Count
    skipped: Count
    """Records left out because they had no text."""
    bad: Count = 0
    """Row groups left out because they did not decode."""
    sha256: str = ""
    """Of this header without it and of everything after the header."""


class Shard:
    """A packed unit, read through a memory map. Documents lie one after another, each closed by the end id."""

    def __init__(self, header: ShardHeader, arrays: dict[str, NDArray[Any]]) -> None:
        self.header = header
        self.tokens: Tokens = arrays["tokens"]
        self.document_ends: NDArray[np.uint64] = arrays["document_ends"]
        self.held_out_tokens: Tokens = arrays["held_out_tokens"]
        self.held_out_ends: NDArray[np.uint64] = arrays["held_out_ends"]
        self.held_out_bytes: NDArray[np.uint64] = arrays["held_out_bytes"]
        """Bytes of UTF-8 text of each held-out document."""


def encode_shard(header: ShardHeader, arrays: dict[str, NDArray[Any]]) -> bytes:
    """The bytes of a shard file: the same for the same content, whatever machine writes them.

    safetensors' own writer is not used because the order of its metadata keys changes from process to process; here
    there is one key, and the hash must be known before the header is written.
    """
    payload = {name: np.ascontiguousarray(arrays[name]) for name in _layout(header)}
    content = [array.data for array in payload.values()]
    head = _head(msgspec.structs.replace(header, sha256=_sha256(header, content)))
    return b"".join([len(head).to_bytes(8, "little"), head, *content])


def open_shard(path: Path, *, verify: bool = True) -> Shard:
    """Map a shard file; with `verify`, hash it first.

    Raises DataError when the file is cut short, is no shard, or does not have the hash it names; FileNotFoundError
    when it is not there.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 8:
            raise DataError(f"{path}: no shard: {size} bytes long; {_CURE}")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return parse_shard(data, str(path), verify=verify)


class Beginning(NamedTuple):
    """The first tokens of a shard, cut off anywhere, and the ends of the documents that end among them."""

    tokens: Tokens
    document_ends: NDArray[np.uint64]


def parse_beginning(data: bytes, name: str) -> Beginning:
    """What the first `head_bytes` bytes of a shard hold; whoever calls knows that they are the right ones."""
    header, begin = _read_header(data, name)
    arrays: dict[str, NDArray[Any]] = {}
    for field, (dtype, count) in _layout(header).items():
        kind = np.dtype(_DTYPES[dtype])
        there = min(count, (len(data) - begin) // kind.itemsize)
        arrays[field] = np.frombuffer(data, dtype=kind, count=there, offset=begin)
        begin += there * kind.itemsize
    tokens, ends = arrays["tokens"], arrays["document_ends"]
    return Beginning(tokens, ends[: np.searchsorted(ends, len(tokens), side="right")])


def parse_shard(data: bytes | mmap.mmap, name: str, *, verify: bool = True) -> Shard:
    """A shard from the bytes of its file, called `name` in errors."""
    header, begin = _read_header(data, name)
    payload = memoryview(data)[begin:]
    layout = _layout(header)
    wanted = sum(_size(dtype, count) for dtype, count in layout.values())
    if len(payload) != wanted:
        raise DataError(f"{name}: cut short or overlong: {len(payload)} bytes after its header, not {wanted}; {_CURE}")
    if verify and _sha256(header, [payload]) != header.sha256:
        raise DataError(f"{name}: damaged: its bytes do not have the sha256 they were written with; {_CURE}")
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for field, (dtype, count) in layout.items():
        arrays[field] = np.frombuffer(payload, dtype=_DTYPES[dtype], count=count, offset=at)
        at += _size(dtype, count)
    return Shard(header, arrays)


def head_bytes(header: ShardHeader) -> int:
    """Length of a shard file up to its training tokens, and a MiB of these: with that, training can begin."""
    sizes = {name: _size(dtype, count) for name, (dtype, count) in _layout(header).items()}
    tokens = sizes.pop("tokens")
    return 8 + len(_head(header)) + sum(sizes.values()) + min(tokens, _HEAD_TOKEN_BYTES)


_CURE = "`ten pack` with the same settings makes it anew"


def _read_header(data: bytes | mmap.mmap, name: str) -> tuple[ShardHeader, int]:
    """A shard's header, and where its arrays begin."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise DataError(f"{name}: no shard: its header is damaged; {_CURE}")
    try:
        header = msgspec.json.decode(json.loads(data[8 : 8 + length])["__metadata__"]["ten"], type=ShardHeader)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{name}: no shard: its header is damaged ({error}); {_CURE}") from None
    if header.format != FORMAT:
        raise DataError(f"{name}: shard format {header.format}, and this version reads {FORMAT}; pack again")
    if data[8 : 8 + length] != _head(header):
        raise DataError(f"{name}: its header does not agree with itself; {_CURE}")
    return header, 8 + length


def _head(header: ShardHeader) -> bytes:
    """The safetensors header, padded so that the arrays behind it are aligned."""
    tree: dict[str, Any] = {"__metadata__": {"ten": msgspec.json.encode(header).decode()}}
    at = 0
    for name, (dtype, count) in _layout(header).items():
        end = at + _size(dtype, count)
        tree[name] = {"dtype": dtype, "shape": [count], "data_offsets": [at, end]}
        at = end
    head = json.dumps(tree, separators=(",", ":")).encode()
    return head + b" " * (-len(head) % 8)


def _sha256(header: ShardHeader, content: list[memoryview]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(header, sha256="")))
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()


def _size(dtype: str, count: int) -> int:
    return count * int(dtype[1:]) // 8


def _layout(header: ShardHeader) -> dict[str, tuple[str, int]]:
    """Name, dtype and length of every array, in file order: wide ones first, so that all are aligned."""
    return {
        "document_ends": ("U64", header.documents),
        "held_out_ends": ("U64", header.held_out_documents),
        "held_out_bytes": ("U64", header.held_out_documents),
        "held_out_tokens": (header.dtype, header.held_out_tokens),
        "tokens": (header.dtype, header.tokens),
    }
