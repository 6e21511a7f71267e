"""Puts hub tokenizers into the image: `bake_tokenizers.py FOLDER "ns/repo@<commit>:<sha256> …"`.

Each is the tokenizer.json of a repository at a commit, fetched once, refused unless its bytes have that hash. `ten`
looks into FOLDER (TEN_TOKENIZERS) for a tokenizer that its cache has not, by the repository's name alone too. The
hub's token is read from /run/secrets/hf_token. Uses the standard library alone, for it runs before the code is there.
"""

import hashlib
import os
import re
import sys
import urllib.request
from pathlib import Path

TOKEN = Path("/run/secrets/hf_token")
_FORM = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40}):([0-9a-f]{64})", re.ASCII)


def main(folder: Path, wanted: str) -> int:
    """Bake what is wanted; 78 where it is written wrong, 65 where the hub has other bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for words in wanted.split():
        form = _FORM.fullmatch(words)
        if form is None:
            return complain(
                78, f"{words}: not of the form namespace/repo@<40 hex digits>:<sha256 of its tokenizer.json>"
            )
        repo, commit, digest = form.groups()
        content = fetch(repo, commit)
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            return complain(65, f"{repo}@{commit}: its tokenizer.json has sha256 {found}, not {digest}")
        name = repo.replace("/", "--")
        (folder / f"{name}@{commit}.json").write_bytes(content)
        (folder / f"{name}.pin").write_text(f"{commit}\n", encoding="ascii")
    return 0


def fetch(repo: str, commit: str) -> bytes:
    """The tokenizer.json of a repository at a commit; raises what urllib raises."""
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    request = urllib.request.Request(f"{endpoint}/{repo}/resolve/{commit}/tokenizer.json")
    if TOKEN.is_file():
        request.add_unredirected_header("Authorization", f"Bearer {TOKEN.read_text().strip()}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def complain(code: int, message: str) -> int:
    """Say what is wrong; the exit code for it."""
    print(f"bake_tokenizers: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
