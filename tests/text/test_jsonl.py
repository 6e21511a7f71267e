"""JSONL: each line once for any cut; what is damaged is named."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ten.errors import DataError
from ten.text.corpus import SourceFile
from ten.text.documents import count_records, read_documents, text_column
from ten.text.jsonl import estimate_lines, is_lines
from tests.data.small import jsonl, make_texts, records, source, write_jsonl

ENDS = st.sampled_from([b"\n", b"\r\n"])
LINES = st.lists(
    st.one_of(
        st.text(max_size=30).map(lambda text: json.dumps({"text": text}).encode()), st.sampled_from([b"", b"  ", b"\t"])
    ),
    max_size=20,
)


def parts_of(path: Path, parts: int) -> list[list[str | None]]:
    return [list(read_documents(source(path), part, parts, "text")) for part in range(parts)]


@given(lines=LINES, end=ENDS, last_end=st.booleans(), bom=st.booleans(), parts=st.integers(1, 40))
def test_each_line_belongs_to_one_part_for_any_cut(
    scratch: Path, lines: list[bytes], end: bytes, last_end: bool, bom: bool, parts: int
) -> None:
    raw = end.join(lines) + (end if last_end else b"")
    scratch.write_bytes(b"\xef\xbb\xbf" + raw if bom else raw)
    texts = [json.loads(line)["text"] for line in lines if line.strip()]
    split = parts_of(scratch, parts)
    assert [text for part in split for text in part] == texts
    assert [count_records(source(scratch), part, parts) for part in range(parts)] == [len(part) for part in split]
    assert parts_of(scratch, 1) == [texts]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jsonl") / "a.jsonl"


def test_one_long_line_is_in_one_part(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", ["x" * 3_000_000, "short"])
    assert [[len(text or "") for text in part] for part in parts_of(path, 4)] == [[3_000_000], [], [], [5]]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "A.JSONL"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, name: str) -> None:
    raw = b"\xef\xbb\xbf" + jsonl(["first", "second"])
    packed = gzip.compress(raw) if name.endswith(".gz") else zstandard.compress(raw) if name.endswith(".zst") else raw
    (tmp_path / name).write_bytes(packed)
    assert records(tmp_path / name) == ["first", "second"]
    assert text_column(source(tmp_path / name), None) == "text"


def test_nulls_and_absent_keys_are_records_without_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text":null}\n{"id":1}\n{"text":""}\n{"text":"x","text2":"y"}\n')
    assert records(path) == [None, None, "", "x"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[1]", r"Expected a mapping such as .*, got a list"),
        (b'"text"', r"Expected a mapping such as .*, got text"),
        (b'{"text": 5}', r"Expected text, got a whole number"),
        (b'{"text": "cut', r"malformed"),
        (b"{'text': 'x'}", r"malformed"),
        (b"\x00\x01", r"malformed"),
        (b'{"text":"x","deep":' + b"[" * 10_000 + b"]" * 10_000 + b"}", r"recursion"),
    ],
)
@pytest.mark.parametrize("invalid", ["error", "replace"])
def test_a_line_that_is_no_record_is_named_by_its_byte(tmp_path: Path, line: bytes, words: str, invalid: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + line + b"\n")
    with pytest.raises(DataError, match=rf"a\.jsonl: line 2 \(at byte 17\) is no record with a text: .*{words}"):
        records(path, invalid=invalid)


def test_a_line_far_into_a_file_is_named_by_its_byte_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ten.text.jsonl._MOST_COUNTED", 16)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n{\n')
    with pytest.raises(DataError, match=r"a\.jsonl: the line at byte 17 is no record .*mend that line or take it out"):
        records(path)


def test_invalid_utf8_is_named_by_file_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n{"text": "ab\xffc"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: invalid UTF-8 at byte 29; .*data\.invalid_text=replace"):
        records(path)
    assert records(path, invalid="replace") == ["good", "ab\ufffdc"]


@pytest.mark.parametrize(
    ("escaped", "repaired"),
    [
        (r"a\ud800b", "a\ufffdb"), (r"\udc00", "\ufffd"), (r"\ud83d", "\ufffd"), (r"x\ud83d\ud83d\ude42", "x\ufffd🙂"),
        (r"\ufeff\ud800", "\ufeff\ufffd"),
    ],
)  # fmt: skip
def test_half_a_surrogate_pair_is_an_error_or_replaced(tmp_path: Path, escaped: str, repaired: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "' + escaped.encode() + b'"}\n')
    with pytest.raises(DataError, match=r"line 1 \(at byte 0\) is no record with a text"):
        records(path)
    assert records(path, invalid="replace") == [repaired]


def test_a_whole_pair_of_escapes_is_one_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(rb'{"text": "\ud83d\ude42\u0000"}')
    assert records(tmp_path / "a.jsonl") == ["🙂\x00"]


def test_several_members_and_frames_are_one_text(tmp_path: Path) -> None:
    pieces = [jsonl([text]) for text in make_texts(5)]
    (tmp_path / "a.jsonl.gz").write_bytes(b"".join(map(gzip.compress, pieces)))
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    (tmp_path / "a.jsonl.zst").write_bytes(skippable.join([b"", *map(zstandard.compress, pieces), b""]))
    assert records(tmp_path / "a.jsonl.gz") == records(tmp_path / "a.jsonl.zst") == make_texts(5)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_compressed_file_cut_anywhere_is_an_error(tmp_path: Path, name: str) -> None:
    path = write_jsonl(tmp_path / name, make_texts(400))
    raw = path.read_bytes()
    for cut in [1, 2, 5, 11, len(raw) // 2, len(raw) - 9, len(raw) - 3, len(raw) - 1]:
        path.write_bytes(raw[:cut])
        with pytest.raises(DataError, match=rf"{name}: damaged or cut short \d+ bytes into its text .*fetch it again"):
            records(path)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_damaged_compressed_file_is_an_error_never_other_text(tmp_path: Path, name: str) -> None:
    texts = make_texts(400)
    raw = jsonl(texts)
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    whole = gzip.compress(raw) if name.endswith("gz") else compressor.compress(raw)
    path = tmp_path / name
    for at in range(30, len(whole), len(whole) // 25):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert records(path) == texts
        except DataError as error:
            assert name in str(error)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("garbage", [b"not compressed at all", b"\x00" * 64, b'{"text":"plain"}\n'])
def test_garbage_with_a_compressed_name_is_an_error(tmp_path: Path, name: str, garbage: bytes) -> None:
    (tmp_path / name).write_bytes(garbage)
    with pytest.raises(DataError, match=f"{name}: damaged or cut short"):
        records(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: damaged or cut short"):
        text_column(source(tmp_path / name), None)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_without_bytes_has_no_records(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert records(tmp_path / name) == []
    assert text_column(source(tmp_path / name), None) is None


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_the_number_of_lines_is_estimated_from_a_few(tmp_path: Path, name: str) -> None:
    file = source(write_jsonl(tmp_path / name, make_texts(2000)))
    assert estimate_lines(file, 2000) == estimate_lines(file, 3000) == 2000
    assert estimate_lines(file, 200) == pytest.approx(2000, rel=0.2)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_estimating_the_lines_of_a_cut_file_is_an_error(tmp_path: Path, name: str) -> None:
    path = write_jsonl(tmp_path / name, make_texts(5000))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{name}: damaged or cut short"):
        estimate_lines(source(path), 10)


def test_a_file_that_shrank_since_the_listing_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(3))
    file = SourceFile(name="a.jsonl", path=str(path), bytes=10 * path.stat().st_size)
    assert [text for part in range(9) for text in read_documents(file, part, 9, "text")] == make_texts(3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"text": "a"}\n{"text": "b"}\n', True),
        (b'\xef\xbb\xbf\n \n{"id": 1, "text": "a"}', True),
        (b'{"text": "' + b"a" * 2**17 + b'"}\n', True),
        (b'{"id": 1}\n', False),
        (b'{\n  "text": "a"\n}\n', False),
        (b'[{"text": "a"}]', False),
        (b'"a"\n', False),
        (b"", False),
    ],
)
def test_a_file_of_lines_is_known_by_its_first(tmp_path: Path, content: bytes, expected: bool) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    for path in tmp_path.iterdir():
        assert is_lines(SourceFile(name=path.name, path=str(path), bytes=path.stat().st_size)) == expected
