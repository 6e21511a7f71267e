"""The verbs about trained runs: eval, generate, export, report, runs."""

import argparse
import webbrowser
from itertools import chain
from pathlib import Path

import msgspec

from ten.errors import SpecError
from ten.flags import store_address
from ten.job import JobSpec
from ten.store.opening import open_store
from ten.units import format_bytes, format_count
from ten.verbs.terminal import as_json, show, show_as_it_comes


def evaluate(arguments: argparse.Namespace) -> int:
    """Score a run on held-out text."""
    from ten import inference, settings
    from ten.preparation import Preparation
    from ten.runs import find_run

    if arguments.tasks:
        return _run_tasks(arguments)
    run = find_run(arguments.run, open_store(store_address(arguments)))
    tree = msgspec.to_builtins(run.job)
    tree["store"] = store_address(arguments)
    if arguments.dataset:
        tree["data"] |= dict.fromkeys(("text_column", "subset_size", "revision", "split"))
        tree["data"]["dataset"] = arguments.dataset
    if arguments.split:
        tree["data"] |= {"split": arguments.split, "subset_size": None}
    if arguments.revision:
        tree["data"]["revision"] = arguments.revision
    if arguments.tokens:
        tree["train"]["evaluate_tokens"] = arguments.tokens
    tree["mode"] = "streaming"
    job = Preparation(
        settings.convert(tree, JobSpec, "command line"),
        given_tokenizer=run.tokenizer(),
        only_scored=bool(arguments.dataset or arguments.split),
    )
    result = inference.evaluate(job, run)
    show(as_json(result) if arguments.json else inference.describe(result))
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write a run as a folder that transformers loads."""
    from ten.export.folder import export_folder, export_run
    from ten.runs import find_run

    store = open_store(store_address(arguments))
    run = find_run(arguments.run, store)
    to = Path(arguments.to) if arguments.to else export_folder(run, store)
    done = export_run(run, to, dtype=arguments.dtype, force=arguments.force)
    show(
        as_json(done)
        if arguments.json
        else f"{done.folder}: {done.run} {done.checkpoint}, {format_count(done.parameters)} parameters in "
        f"{done.dtype}, {format_bytes(done.bytes)}; how to load it is in its README.md"
    )
    return 0


def _run_tasks(arguments: argparse.Namespace) -> int:
    """Run a run's model through benchmarks."""
    from ten.export.harness import run_tasks
    from ten.runs import find_run

    if given := [name for name in ("dataset", "split", "revision", "tokens") if getattr(arguments, name)]:
        raise SpecError(f"eval: --{given[0]} chooses text to score, and --tasks brings its own; leave one of them out")
    run = find_run(arguments.run, open_store(store_address(arguments)))
    result = run_tasks(run, arguments.tasks.split(","), folder=arguments.tasks_from, limit=arguments.limit)
    show(as_json(result) if arguments.json else f"{result.run} {result.checkpoint}\n{result.table}")
    return 0


def generate(arguments: argparse.Namespace) -> int:
    """Print text written by a run."""
    from ten import inference
    from ten.runs import find_run

    pieces = inference.generate(
        find_run(arguments.run, open_store(store_address(arguments))),
        arguments.prompt,
        max_tokens=arguments.max_tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    show_as_it_comes(chain([arguments.prompt], pieces))
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write a page about runs."""
    from ten.report.page import render
    from ten.report.source import gather
    from ten.runs import find_run
    from ten.store.durable import write_atomically
    from ten.train.run_record import now

    store = open_store(store_address(arguments))
    found = [find_run(name, store) for name in arguments.runs or [None]]
    page = render([gather(number, run.folder, run.record) for number, run in enumerate(found)], now())
    path = Path(arguments.to or found[0].folder / "report.html").expanduser()
    write_atomically(path, page.encode())
    show(str(path))
    if arguments.open:
        webbrowser.open(path.absolute().as_uri())
    return 0


def runs(arguments: argparse.Namespace) -> int:
    """Print a store's runs."""
    from ten.runs_list import describe_runs, list_runs

    found = list_runs(open_store(arguments.where or store_address(arguments)))
    show(as_json(found) if arguments.json else describe_runs(found))
    return 0
