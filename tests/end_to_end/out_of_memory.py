"""The command line on a device that runs out of memory once: `python -m tests.end_to_end.out_of_memory PASS WORD…`."""

import sys

from ten.cli import main
from ten.model.lm import LanguageModel
from tests.train.memory_fault import fail_once


def run(at: int, words: list[str]) -> int:
    """`ten WORD…` with the `at`-th backward pass raising torch.OutOfMemoryError."""
    build = LanguageModel.__init__

    def build_faulty(self: LanguageModel, *given: object, **named: object) -> None:
        build(self, *given, **named)  # type: ignore[arg-type]
        fail_once(self, at)

    LanguageModel.__init__ = build_faulty  # type: ignore[method-assign]
    return main(words)


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))
