"""Environment: the variables a `.env` file adds to those of this process. Values arrive as they are written.

`python -m ten.environment` writes them for a shell to `eval`.
"""

import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ten.errors import MissingInput, SpecError, TenError

if TYPE_CHECKING:
    from dotenv.parser import Binding

NAMED_BY = "TEN_ENV_FILE"
"""The variable that names another file than the working folder's `.env`."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def load_environment() -> None:
    """Set what `.env` here, or the file that TEN_ENV_FILE names, says and this process's environment does not.

    Nothing in a value stands for another variable. Raises SpecError naming file and line, and never what stands there;
    MissingInput when the named file cannot be read.
    """
    for name, value in dict(_given()).items():  # of a name that is given twice the last, as in `shell_lines`
        os.environ.setdefault(name, value)


def shell_lines() -> list[str]:
    """The same for bash, which adds the names to its array `env_names`. Raises what `load_environment` does."""
    return [
        f'[[ -n "${{{name}+set}}" ]] || export {name}={shlex.quote(value)}; env_names+=({name})'
        for name, value in dict(_given()).items()
    ]


def _given() -> Iterator[tuple[str, str]]:
    named = os.environ.get(NAMED_BY)
    path = Path(named or ".env").expanduser()
    if named or path.is_file():
        yield from _variables(path)


def _variables(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as such") from None
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror}; mend it, or what {NAMED_BY} names") from None
    if not text.strip():
        return
    from dotenv.parser import parse_stream  # takes 0.03 s to import

    for binding in parse_stream(io.StringIO(text)):
        if binding.key is None and not binding.error:  # a comment, or blank lines
            continue
        name, value = binding.key, binding.value
        if name is None or value is None or not _NAME.fullmatch(name) or "\0" in value:
            raise SpecError(
                f"{path}:{_line(binding)}: not of the form NAME=value; put a value with # or quotes in it between '…', "
                "and # before a comment"
            )
        yield name, value


def _line(binding: "Binding") -> int:
    """The line on which a binding begins; what the parser says counts from the blank lines before it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))


if __name__ == "__main__":
    try:
        sys.stdout.write("\n".join(shell_lines()))
    except TenError as error:
        sys.stderr.write(f"ten: {error}\n")
        sys.exit(error.exit_code)
