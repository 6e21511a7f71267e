"""Verbs → functions, errors → exit codes. Imports nothing heavy before a verb needs it."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Never

from ten.errors import Resumable, TenError

_INTERRUPTED = "stopped; everything finished so far is kept, run the same command again to go on"
_GO_ON = ("pack", "train", "push", "pull", "up", "down", "reap")
"""Verbs that keep what they have done when they are stopped; the others begin anew."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Known errors are one line on stderr, anything else is a bug's traceback."""
    verb = None
    try:
        arguments = _arguments(sys.argv[1:] if argv is None else argv)
        verb = arguments.verb
        return _verb(verb)(arguments)
    except TenError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt as stop:
        if verb in _GO_ON:
            _complain(_INTERRUPTED)
            return Resumable.exit_code
        if verb is not None:
            _complain("stopped")
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        sys.stderr.close()
        return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with the environment and the terminal set up; imported here, where Ctrl-C has somebody to meet."""
    from ten import logs
    from ten.environment import load_environment
    from ten.flags import parse_arguments

    logs.show_messages()
    signal.signal(signal.SIGTERM, _terminate)
    load_environment()
    return parse_arguments(argv)


def _terminate(number: int, _frame: FrameType | None) -> Never:
    """Before and after the training loop, which has a handler of its own, a stop is a stop: nothing may swallow it."""
    raise KeyboardInterrupt(number)


def _complain(message: str) -> None:
    print(f"ten: {message}", file=sys.stderr)  # noqa: T201 - the terminal is this module's business


def _verb(name: str) -> Callable[[argparse.Namespace], int]:
    """The function of a verb; with it, what it needs is imported."""
    module, function = _VERBS[name]
    found: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(f"ten.verbs.{module}"), function)
    return found


_VERBS = {
    "plan": ("jobs", "plan"),
    "doctor": ("doctor", "doctor"),
    "pack": ("jobs", "pack"),
    "train": ("jobs", "train"),
    "render": ("jobs", "render"),
    "eval": ("trained", "evaluate"),
    "generate": ("trained", "generate"),
    "report": ("trained", "report"),
    "export": ("trained", "export"),
    "runs": ("trained", "runs"),
    "verify": ("holdings", "verify"),
    "push": ("holdings", "push"),
    "pull": ("holdings", "pull"),
    **{verb: ("cloud", verb) for verb in ("up", "ps", "logs", "ssh", "down", "reap", "sizes")},
}


def entry() -> Never:
    """The command `ten`: what a signal could still stop after the verb has ended is only Python's own leave-taking."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.environ.get("WORLD_SIZE", "1") != "1":  # threads of a broken process group may abort or hang Python's end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
