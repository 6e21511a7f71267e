"""Corpus: real text for benchmarks from what lies on every machine: the Python sources of this environment."""

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path


def sources() -> Iterator[str]:
    """Texts of this Python's `.py` files, library and installed packages, each content once, in a fixed order."""
    seen: set[int] = set()
    for root in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for path in sorted(Path(root).rglob("*.py")):
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # the library tests its own decoders with such files
            if text and hash(text) not in seen:
                seen.add(hash(text))
                yield text


def write_jsonl(path: Path, text_bytes: int) -> int:
    """Write documents of about `text_bytes` bytes in all as JSONL; the bytes of text there were."""
    size = 0
    with path.open("w", encoding="utf-8") as file:
        for text in sources():
            if size >= text_bytes:
                break
            size += len(text.encode("utf-8"))
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return size
