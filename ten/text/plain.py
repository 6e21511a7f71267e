"""Text: bytes of a file as one document, and what to do where they are not UTF-8."""

from typing import Literal

from ten.errors import DataError
from ten.text.corpus import SourceFile
from ten.text.flow import Flow
from ten.text.sources import open_source
from ten.units import format_bytes

InvalidText = Literal["error", "replace"]
MAX_DOCUMENT_BYTES = 2**30
"""A larger document is refused: it would not be one text but a corpus that was not split."""


def read_text(file: SourceFile, invalid: InvalidText, flow: Flow | None = None) -> str:
    """A whole plain-text file as one document, without a byte-order mark."""
    if file.bytes > MAX_DOCUMENT_BYTES:
        raise DataError(
            f"{file.path}: {format_bytes(file.bytes)} of plain text is one document here, and the limit is "
            f"{format_bytes(MAX_DOCUMENT_BYTES)}; write one document a line as .jsonl"
        )
    with open_source(file, flow) as source:
        return decode(source.read(), file, 0, invalid).removeprefix("\ufeff")


def decode(raw: bytes, file: SourceFile, at: int, invalid: InvalidText) -> str:
    """`raw`, which lies at byte `at` of a file's text, as text; DataError names the first invalid byte."""
    try:
        return raw.decode("utf-8", errors="strict" if invalid == "error" else "replace")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.path}: invalid UTF-8 at byte {at + error.start}; {MEND}") from None


MEND = "mend the file, or replace what is invalid by U+FFFD with --set data.invalid_text=replace"
