"""`.env`: names and values, or an error that names the file and line and nothing that stands there."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import strategies as st

from ten.environment import NAMED_BY, load_environment, shell_lines
from tests.fuzz.conftest import Explore
from tests.fuzz.mutations import mutated
from tests.fuzz.refusal import answer_or_refusal

_WHOLE = """\
# keys
export FUZZ_A=plain
FUZZ_B='quoted # $x' # why
FUZZ_C="two\\nlines \\" é"

FUZZ_D=
FUZZ_E = s p
""".encode()


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "dot.env"
    monkeypatch.setenv(NAMED_BY, str(path))
    return path


def test_an_env_file_is_read_or_named(explore: Explore, env_file: Path) -> None:
    before = dict(os.environ)

    def check(data: bytes) -> None:
        env_file.write_bytes(data)
        try:
            lines = answer_or_refusal(shell_lines, env_file)
            answer_or_refusal(load_environment, env_file)
            names = {name for name in os.environ if os.environ[name] != before.get(name)}
            assert lines is not None or not names
        finally:
            os.environ.clear()
            os.environ.update(before)

    explore(mutated(_WHOLE) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")), check)


def test_bash_reads_the_same_values(explore: Explore, env_file: Path) -> None:
    def check(value: str) -> None:
        env_file.write_text(f"FUZZ_V='{value}'\n", encoding="utf-8")
        lines = answer_or_refusal(shell_lines, env_file)
        if lines is not None:
            script = "\n".join([*lines, 'printf "%s" "$FUZZ_V"'])
            told = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
            assert told.decode() == value

    explore(st.text(st.characters(codec="utf-8", exclude_characters="\0'\\\r"), max_size=20), check)
