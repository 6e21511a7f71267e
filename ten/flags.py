"""The command line's vocabulary: verbs and their flags."""

import argparse
import re
from collections.abc import Sequence
from typing import Never

from ten import __version__, cloud_flags
from ten.errors import SpecError
from ten.job import JobSpec
from ten.job_flags import add_job
from ten.render.formats import FORMATS
from ten.settings import nearest

_EXAMPLES = {
    "plan": "ten plan jobs/train-pretok.yaml\n"
    "  ten plan --config large --dataset 'corpus/*.parquet' --epochs 1 --json\n"
    "  ten plan --config large --dataset finewebedu --tokens 10B\n"
    "  ten plan jobs/train-pretok.yaml --set limits.max_cost=15",
    "doctor": "ten doctor jobs/train-pretok.yaml\n  ten doctor --config small --dataset finewebedu --json",
    "pack": "ten pack jobs/pack.yaml\n  ten pack --dataset 'corpus/*.jsonl.gz' --tokenizer gpt2\n"
    "  ten pack --dataset Salesforce/wikitext:wikitext-2-raw-v1 --subset-size 10K",
    "train": "ten train jobs/train-streaming.yaml --set train.steps=100\n"
    "  ten train --config tiny --dataset 'corpus/*.parquet' --streaming --mixed-precision --epochs 1\n"
    "  ten train --config small --dataset finewebedu --streaming --tokens 1B",
    "render": "ten render jobs/train-pretok.yaml --to docker\n"
    "  ten render jobs/train-streaming.yaml --to skypilot --store s3://my-bucket/ten --set image=registry.example/ten",
    "eval": "ten eval\n  ten eval train-stdlib-nano --dataset 'other/*.txt' --json\n  ten eval --dataset wikitext-103\n"
    "  ten eval --tasks lambada_openai,hellaswag",
    "generate": "ten generate --prompt 'def main():' --max-tokens 200\n"
    "  ten generate train-tinystories-nano --prompt 'Once upon a time'",
    "report": "ten report train-stdlib-nano --open\n  ten report first-try second-try --to compared.html",
    "export": "ten export\n  ten export train-stdlib-nano --to my-model --dtype bf16",
    "runs": "ten runs\n  ten runs s3://my-bucket/ten",
    "verify": "ten verify\n  ten verify ten-data/packs/stdlib-0123456789ab --json\n"
    "  ten verify train-tinystories-nano\n  ten verify s3://my-bucket/ten/packs/stdlib-0123456789ab --repair",
    "push": "ten push stdlib-0123456789ab s3://my-bucket/ten\n"
    "  ten push train-tinystories-nano s3://my-bucket/ten --last\n  ten push ten-data /mnt/volume/ten",
    "pull": "ten pull stdlib-0123456789ab s3://my-bucket/ten\n"
    "  ten pull s3://my-bucket/ten/runs/train-tinystories-nano --last --store ten-data",
} | cloud_flags.EXAMPLES
_WHAT = "pack or run: its path, its address, or its name in --store"
_WHAT_THERE = "a pack or run: its name in STORE; without STORE its address or path, or a store's for all it holds"


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are SpecErrors that name the nearest flag or verb."""

    def error(self, message: str) -> Never:
        verb = self.prog.removeprefix("ten").strip()
        where = f"{verb}: " if verb else ""
        if unknown := re.search(r"unrecognized arguments: (\S+)", message):
            flags = [flag for action in self._actions for flag in action.option_strings]
            raise SpecError(f"{where}unknown argument {unknown[1]}; {nearest(unknown[1], flags)} (see --help)")
        if choice := re.search(r"argument verb: invalid choice: '([^']*)'", message):
            raise SpecError(f"no verb is called {choice[1]!r}; {nearest(choice[1], _EXAMPLES)}")
        if message.endswith("required: verb"):
            raise SpecError(f"name a verb: {', '.join(_EXAMPLES)} (see --help)")
        raise SpecError(f"{where}{message} (see --help)")


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line, and its `words`; `-` and `_` are the same inside a flag's name.

    Raises SpecError.
    """
    parser = _build_parser()
    words = [_normal(word) for word in argv]
    known, unknown = parser.parse_known_args(words)
    known.words = words
    if unknown:
        verb_parser: _Parser = known.parser
        verb_parser.error(f"unrecognized arguments: {unknown[0]}")
    return known


def store_address(arguments: argparse.Namespace) -> str:
    """Where a verb that has no job finds packs and runs."""
    return arguments.store or JobSpec().store


def _normal(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="ten",
        description="Pack text into token shards and train Temporal Eigenstate Networks on them.",
        epilog="Each verb has its own --help. Exit codes: 0 done, 75 stopped with everything saved (run it again), "
        "others name what is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ten {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for verb, (summary, add) in _VERBS.items():
        sub = verbs.add_parser(
            verb,
            help=summary,
            description=summary,
            epilog=f"examples:\n  {_EXAMPLES[verb]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.set_defaults(parser=sub)
        add(sub, verb)
    return parser


def _add_render(parser: argparse.ArgumentParser, verb: str) -> None:
    add_job(parser, verb)
    parser.add_argument("--to", choices=FORMATS, required=True, help="for which engine")


def _add_run(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id or folder; without one the latest run")
    _add_store(parser)
    if verb == "eval":
        parser.add_argument("--dataset", metavar="DATA", help="other text to score; without it the run's own held-out")
        parser.add_argument("--split", metavar="NAME", help="split of a hub dataset to score, all of it")
        parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub dataset")
        most = "tokens to score at most, such as 2M: whole documents, the first one in any case"
        parser.add_argument("--tokens", metavar="N", help=most)
        parser.add_argument("--tasks", metavar="NAMES", help="benchmarks of lm-evaluation-harness to run, by commas")
        parser.add_argument("--tasks-from", metavar="DIR", help="folder with tasks of your own (YAML)")
        parser.add_argument("--limit", type=_documents, metavar="N", help="documents of each task at most")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        return
    parser.add_argument("--prompt", default="", metavar="TEXT", help="how the text begins")
    parser.add_argument("--max-tokens", type=int, default=200, metavar="N", help="tokens to write at most (200)")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="X", help="0 takes the likeliest token (0.8)")
    parser.add_argument("--top-k", type=int, metavar="N", help="draw from the N likeliest tokens")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="P", help="draw from the likeliest P (0.95)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed draws the same text (0)")


def _add_report(parser: argparse.ArgumentParser, _verb: str) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs' ids or folders; without one the latest run")
    _add_store(parser)
    parser.add_argument("--to", metavar="FILE", help="the page; without it report.html in the first run's folder")
    parser.add_argument("--open", action="store_true", help="show it in the browser")


def _documents(text: str) -> int:
    """A count of at least one, as argparse wants it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count of documents")
    return int(text)


def _add_export(parser: argparse.ArgumentParser, _verb: str) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id or folder; without one the latest run")
    _add_store(parser)
    parser.add_argument("--to", metavar="DIR", help="folder to make; without it exports/RUN in the store")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="of the weights (fp32)")
    parser.add_argument("--force", action="store_true", help="replace an export that is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_runs(parser: argparse.ArgumentParser, _verb: str) -> None:
    where = "folder or s3://bucket/prefix; without one TEN_STORE, else ten-data"
    parser.add_argument("where", nargs="?", metavar="STORE", help=where)
    parser.add_argument("--store", help=argparse.SUPPRESS)  # as the other verbs take it
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def _add_verify(parser: argparse.ArgumentParser, _verb: str) -> None:
    parser.add_argument("what", nargs="?", metavar="WHAT", help=f"a store, {_WHAT}")
    _add_store(parser)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="replace what is damaged by sound copies from --store and this machine's cache; put other damaged shards "
        "aside, to be packed anew; unpublish damaged checkpoints of runs that have a sound one",
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="this machine's cache (TEN_CACHE_DIR, else ~/.cache/ten)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_transfer(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument("what", metavar="WHAT", help=f"a store, {_WHAT}" if verb == "push" else _WHAT_THERE)
    if verb == "push":
        parser.add_argument("to", metavar="STORE", help="folder or s3://bucket/prefix to move it to")
    else:
        parser.add_argument("where", nargs="?", metavar="STORE", help="folder or s3://bucket/prefix that has it")
    _add_store(parser)
    parser.add_argument("--last", action="store_true", help="of a run's checkpoints move only the newest")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="STORE", help="folder or s3://bucket/prefix for packs and runs (TEN_STORE)")


_VERBS = {
    "plan": ("What a job comes to: parameters, tokens, bytes, hours and dollars, and what a budget buys.", add_job),
    "doctor": ("Check a job, this machine and its services before anything is paid for.", add_job),
    "pack": ("Pack a dataset into token shards, once; an interrupted pack goes on.", add_job),
    "train": ("Train a run; the same command again resumes it.", add_job),
    "render": ("Write a job as another engine's file, with names of secrets and no values.", _add_render),
    "eval": ("Bits per byte and perplexity of a trained run on any text; --tasks: benchmarks.", _add_run),
    "generate": ("Text written by a trained run.", _add_run),
    "report": ("Write runs as one HTML page: curves, eigenvalues, samples, receipt.", _add_report),
    "export": ("A trained run as a folder that transformers loads: safetensors, tokenizer, model card.", _add_export),
    "runs": ("List the runs of a store: steps, tokens, loss, checkpoints and their age.", _add_runs),
    "verify": ("Check every byte of packs and checkpoints against its hash, wherever they lie.", _add_verify),
    "push": ("Move packs and runs to another store; only what it lacks is sent.", _add_transfer),
    "pull": ("Move packs and runs from another store; only what is missing here is fetched.", _add_transfer),
} | cloud_flags.VERBS
VERBS = tuple(_VERBS)
