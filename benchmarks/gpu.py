"""What TEN does on the GPU that is here, in one call of less than eight minutes.

Prints a table a section and writes a dated report, section by section, to benchmarks/reports, or to the folder that
OUT names. A section that fails is reported with its error and the others go on; exit code 1 if any failed.

It needs what a CUDA image of PyTorch has: torch >= 2.11, triton, numpy, safetensors, tokenizers, pyarrow. Whole models
also need msgspec, and real runs pyyaml and tqdm; a section says which package it lacks. Where nothing can be installed,
bring them along: `pip install --target DIR msgspec pyyaml tqdm` elsewhere, and PYTHONPATH=DIR here.

Without a GPU (`--device cpu`) figures mean nothing: with --quick, toys are run to prove the script.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, without an installation

from benchmarks.support.gpu_report import NotMeasured, Result, lines, write

if TYPE_CHECKING:
    from benchmarks.support.gpu_bench import Bench

REPORTS = Path(__file__).parent / "reports"


@dataclass(frozen=True)
class Section:
    """What is measured, where that is written down, and how long it may take."""

    title: str
    budget_s: float
    module: str
    measure: str
    columns: str
    compiled: bool = False

    def open(self, bench: "Bench") -> tuple[tuple[str, ...], Iterator[tuple[object, ...]]]:
        """The columns, and the rows as they are measured."""
        module = import_module(f"benchmarks.support.{self.module}")
        measure: Callable[..., Iterator[tuple[object, ...]]] = getattr(module, self.measure)
        if self.compiled:
            measure = partial(measure, compiled=True)
        return getattr(module, self.columns), measure(bench)


SECTIONS = {
    "correctness": Section("every backend of the scan against the reference in fp64, largest relative errors", 25,
                           "gpu_scan", "correctness", "CORRECT_COLUMNS"),
    "scan": Section("forward + backward in bf16; GB/s of the least bytes that must move, beside a copy", 45,
                    "gpu_scan", "speed", "SPEED_COLUMNS"),
    "models": Section("optimizer steps at the default lengths, beside a transformer with FlashAttention", 120,
                      "gpu_model", "models", "MODEL_COLUMNS"),
    "memory": Section("levels of memory", 40, "gpu_model", "memory", "MEMORY_COLUMNS"),
    "decoding": Section("one token at a time, fp32 weights", 35, "gpu_model", "decoding", "DECODE_COLUMNS"),
    "compiled": Section("the same steps with compiled blocks", 75, "gpu_model", "models", "MODEL_COLUMNS", True),
    "streaming": Section("`ten train` on this machine's Python sources, streaming and from a pack", 60,
                         "gpu_train", "streaming", "DATA_COLUMNS"),
    "first_step": Section("from the start of `ten train` to its first step, and to compiled ones", 60,
                          "gpu_train", "first_step", "FIRST_COLUMNS"),
}  # fmt: skip


def run(name: str, bench: "Bench", budget_s: float) -> Result:
    """Measure a section, whatever happens in it."""
    section = SECTIONS[name]
    result = Result(name=name, title=section.title, columns=(), budget_s=budget_s)
    begun = time.monotonic()
    bench.deadline = begun + budget_s
    bench.forget()  # what the section before had belongs to this one, and to processes that it starts
    try:
        result.columns, rows = section.open(bench)
        for row in rows:
            result.rows.append(row)  # type: ignore[arg-type]
    except NotMeasured as reason:
        result.omission = str(reason)
    except ModuleNotFoundError as error:
        result.omission = f"needs the package {error.name}, which is not here"
    except Exception as error:  # the other sections are worth having
        traceback.print_exc()
        result.failure = f"{type(error).__name__}: {(str(error).splitlines() or ['no words'])[0]}"
    result.seconds = time.monotonic() - begun
    return result


def open_bench(device: str | None, quick: bool) -> "Bench":
    """The device that was asked for, else the GPU where there is one."""
    import torch

    from benchmarks.support.gpu_bench import Bench

    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not (quick or chosen.startswith("cuda")):
        sys.exit("gpu.py: no GPU is here; --quick --device cpu proves the script at toy sizes")
    torch.set_num_threads(1 if chosen == "cpu" else torch.get_num_threads())
    found = torch.device(chosen)
    if found.index is not None:
        torch.cuda.set_device(found)
    return Bench(device=found, quick=quick)


def main(words: list[str] | None = None) -> int:
    """Measure the sections that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all when none is named")
    parser.add_argument("--device", help="cuda, cuda:N or cpu; the GPU where there is one")
    parser.add_argument("--quick", action="store_true", help="toy sizes: proves the script, measures nothing")
    parser.add_argument("--budget", type=float, default=1.0, help="times the seconds that each section may take")
    arguments = parser.parse_args(words)
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no section is called {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    bench = open_bench(arguments.device, arguments.quick)
    import torch

    headline = f"TEN on {bench.name}, torch {torch.__version__}"
    headline += ", toy sizes that measure nothing" if arguments.quick else ""
    print(headline)
    out = Path(os.environ.get("OUT") or REPORTS)
    card = (bench.card.name if bench.card else bench.name).lower().replace(" ", "-")
    path = out / f"gpu-{card}{'-quick' if arguments.quick else ''}-{time.strftime('%Y-%m')}.md"
    command = " ".join(["python benchmarks/gpu.py", *(sys.argv[1:] if words is None else words)])
    results: list[Result] = []
    for name in arguments.sections or SECTIONS:
        results.append(run(name, bench, SECTIONS[name].budget_s * arguments.budget))
        print("\n".join(lines(results[-1])), flush=True)
        write(path, headline, command, results)
    failed = [result.name for result in results if result.failure]
    verdict = f"FAILED: {', '.join(failed)}" if failed else "none failed"
    print(f"\ngpu: {len(results)} sections, {verdict}; {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
