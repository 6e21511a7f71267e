"""The command line's vocabulary: verbs, their flags, and which setting of a job each flag is."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, Never

from ten import __version__
from ten.errors import SpecError
from ten.hub.registry import registered_names
from ten.settings import nearest
from ten.units import parse_count


def _count(text: str) -> int:
    """A count with or without a suffix, as argparse wants it."""
    try:
        return parse_count(text)
    except SpecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_SETTINGS: tuple[tuple[str, str, str, Any, str], ...] = (
    ("--config", "model.config", "NAME", str, "model preset: nano tiny small medium large xlarge"),
    (
        "--dataset",
        "data.dataset",
        "DATA",
        str,
        f"registered name ({', '.join(registered_names())}), the hub's namespace/repo[:config], stdlib, or a file, "
        "folder or glob of text",
    ),
    ("--revision", "data.revision", "REV", str, "branch, tag or commit of a hub dataset"),
    ("--split", "data.split", "NAME", str, "split of a hub dataset to train on"),
    ("--text-column", "data.text_column", "NAME", str, "column or key that holds the text"),
    ("--tokenizer", "data.tokenizer", "NAME", str, "gpt2, a tokenizer.json, the hub's namespace/repo, or bpe:SIZE"),
    ("--seq-len", "data.seq_len", "N", int, "tokens the model sees per row"),
    ("--chunk-size", "data.seq_len", "N", int, "the same as --seq-len"),
    ("--subset-size", "data.subset_size", "N", _count, "use only the first N (10K) records, in every mode"),
    ("--cache-dir", "data.cache_dir", "DIR", str, "folder for shards and trained tokenizers in front of the store"),
    ("--store", "store", "DIR", str, "folder for packs and runs"),
    ("--name", "name", "NAME", str, "first part of the run's id"),
    ("--epochs", "train.epochs", "N", float, "length in passes over the data"),
    ("--tokens", "train.tokens", "N", str, "length in tokens, such as 10B; goes before --epochs"),
    ("--steps", "train.steps", "N", int, "length in optimizer steps; goes before --tokens"),
    ("--gradient-accumulation", "train.gradient_accumulation", "N", int, "micro-batches per optimizer step"),
    ("--learning-rate", "train.learning_rate", "X", float, "peak learning rate"),
)
_SWITCHES: tuple[tuple[str, str, str | bool, str], ...] = (
    ("--streaming", "mode", "streaming", "pack on demand while training"),
    ("--pretokenized", "mode", "pretok", "read a finished pack; tokenize nothing"),
    ("--full", "mode", "full", "download and pack everything, then train"),
    ("--mixed-precision", "train.precision", "bf16", "matrix products in bf16; weights stay fp32"),
    ("--skip-bad", "data.skip_bad", True, "leave out and count Parquet row groups that do not decode"),
    ("--keep-files", "data.keep_files", True, "keep a hub dataset's raw files under the cache folder"),
)
_EXAMPLES = {
    "plan": "ten plan jobs/train-pretok.yaml\n"
    "  ten plan --config large --dataset 'corpus/*.parquet' --epochs 1 --json\n"
    "  ten plan --config large --dataset finewebedu --tokens 10B",
    "pack": "ten pack jobs/pack.yaml\n  ten pack --dataset 'corpus/*.jsonl.gz' --tokenizer gpt2\n"
    "  ten pack --dataset Salesforce/wikitext:wikitext-2-raw-v1 --subset-size 10K",
    "train": "ten train jobs/train-streaming.yaml --set train.steps=100\n"
    "  ten train --config tiny --dataset 'corpus/*.parquet' --streaming --mixed_precision --epochs 1\n"
    "  ten train --config small --dataset finewebedu --streaming --tokens 1B",
    "eval": "ten eval\n  ten eval train-stdlib-nano --dataset 'other/*.txt' --json\n  ten eval --dataset wikitext-103",
    "generate": "ten generate --prompt 'def main():' --max-tokens 200\n"
    "  ten generate train-tinystories-nano --prompt 'Once upon a time'",
    "verify": "ten verify\n  ten verify ten-data/packs/stdlib-0123456789ab --json\n  ten verify train-tinystories-nano",
}


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
    """The arguments of a command line; `-` and `_` are the same inside a flag's name. Raises SpecError."""
    parser = _build_parser()
    words = [_normal(word) for word in argv]
    known, unknown = parser.parse_known_args(words)
    if unknown:
        verb_parser: _Parser = known.parser
        verb_parser.error(f"unrecognized arguments: {unknown[0]}")
    return known


def job_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Dotted settings of a job that the flags stand for."""
    chosen: dict[str, Any] = {}
    for _, path, value, _ in _SWITCHES:
        if value in (getattr(arguments, path, None) or ()):
            if path in chosen:
                raise SpecError(f"{path} is given twice: {chosen[path]} and {value}; choose one")
            chosen[path] = value
    for _, path, _, _, _ in _SETTINGS:
        if (given := getattr(arguments, path, None)) is not None:
            chosen[path] = given
    if arguments.batch_size is not None:
        chosen["data.batch_size" if arguments.verb == "pack" else "train.micro_batch_rows"] = arguments.batch_size
    return chosen


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


def _add_job(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument("job", nargs="?", metavar="JOB.yaml", help="job file; without one the defaults hold")
    for flag, path, metavar, kind, text in _SETTINGS:
        parser.add_argument(flag, dest=path, metavar=metavar, type=kind, help=text)
    for flag, path, value, text in _SWITCHES:
        parser.add_argument(flag, dest=path, action="append_const", const=value, help=text)
    batch = "records read at a time" if verb == "pack" else "rows in one micro-batch"
    parser.add_argument("--batch-size", metavar="N", type=int, help=batch)
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="any setting of a job file")
    if verb == "plan":
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        return
    parser.add_argument("--dry-run", action="store_true", help="print the plan and do nothing")
    if verb == "pack":
        parser.add_argument("--force", action="store_true", help="pack everything anew")


def _add_run(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id or folder; without one the latest run")
    parser.add_argument("--store", metavar="DIR", help="folder for packs and runs")
    if verb == "eval":
        parser.add_argument("--dataset", metavar="DATA", help="other text to score; without it the run's own held-out")
        parser.add_argument("--split", metavar="NAME", help="split of a hub dataset to score, all of it")
        parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub dataset")
        parser.add_argument("--tokens", metavar="N", help="held-out tokens to score at most, such as 2M")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        return
    parser.add_argument("--prompt", default="", metavar="TEXT", help="how the text begins")
    parser.add_argument("--max-tokens", type=int, default=200, metavar="N", help="tokens to write at most (200)")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="X", help="0 takes the likeliest token (0.8)")
    parser.add_argument("--top-k", type=int, metavar="N", help="draw from the N likeliest tokens")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="P", help="draw from the likeliest P (0.95)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed draws the same text (0)")


def _add_path(parser: argparse.ArgumentParser, _verb: str) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="WHAT", help="a store, pack or run: its path, or its name in --store"
    )
    parser.add_argument("--store", metavar="DIR", help="folder for packs and runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


_VERBS = {
    "plan": ("Count a job's parameters, tokens, FLOPs, bytes and steps before anything is made.", _add_job),
    "pack": ("Pack a dataset into token shards, once; an interrupted pack goes on.", _add_job),
    "train": ("Train a run; the same command again resumes it.", _add_job),
    "eval": ("Bits per byte of a trained run on held-out text.", _add_run),
    "generate": ("Text written by a trained run.", _add_run),
    "verify": ("Check every byte of packs and checkpoints against its hash.", _add_path),
}
VERBS = tuple(_VERBS)
