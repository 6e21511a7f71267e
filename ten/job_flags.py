"""The flags of verbs that do a job, and which setting of the job each of them is."""

import argparse
from typing import Any

from ten.errors import SpecError
from ten.hub.registry import registered_names
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
    ("--store", "store", "STORE", str, "folder or s3://bucket/prefix for packs and runs"),
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
_TITLES = ("data", "model", "training", "where")


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


def add_job(parser: argparse.ArgumentParser, verb: str) -> None:
    """Give a verb's parser the flags of a job."""
    parser.usage = f"{parser.prog} [JOB.yaml]{' --to ENGINE' if verb == 'render' else ''} [options]"
    parser.add_argument("job", nargs="?", metavar="JOB.yaml", help="job file; without one the defaults hold")
    groups = {title: parser.add_argument_group(title) for title in _TITLES}
    for flag, path, metavar, kind, text in _SETTINGS:
        shown = argparse.SUPPRESS if verb == "pack" and _is_idle_in_pack(path) else text
        groups[_title(path)].add_argument(flag, dest=path, metavar=metavar, type=kind, help=shown)
    for flag, path, value, text in _SWITCHES:
        shown = argparse.SUPPRESS if verb == "pack" and _is_idle_in_pack(path, value) else text
        groups[_title(path)].add_argument(flag, dest=path, action="append_const", const=value, help=shown)
    if verb == "pack":
        groups["data"].add_argument("--batch-size", metavar="N", type=int, help="records read at a time")
    else:
        groups["training"].add_argument("--batch-size", metavar="N", type=int, help="rows in one micro-batch")
    _add_own(parser, verb)


def _title(path: str) -> str:
    """The group of a setting's flag."""
    if path in ("store", "name", "data.cache_dir"):
        return "where"
    return {"model": "model", "train": "training"}.get(path.partition(".")[0], "data")


def _is_idle_in_pack(path: str, value: object = None) -> bool:
    """Whether a pack is the same with it: taken, as a job file's settings are, and not shown in its help."""
    return _title(path) in ("model", "training") or path == "name" or value in ("streaming", "pretok")


def _add_own(parser: argparse.ArgumentParser, verb: str) -> None:
    """What is no setting but `--set`, and what one verb alone has."""
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="any setting of a job file, such as limits.max_duration=6h, limits.max_cost=15 or "
        "resources.price_per_hour=1.57; docs/job-file.md has them all",
    )
    if verb == "plan":
        parser.add_argument("--mfu", metavar="X", type=float, help="part of a GPU's peak that is used, such as 0.4")
    if verb in ("plan", "doctor"):
        parser.add_argument("--json", action="store_true", help="print one JSON object")
    if verb in ("plan", "doctor", "render"):
        return
    parser.add_argument("--dry-run", action="store_true", help="print the plan and do nothing")
    if verb == "pack":
        parser.add_argument("--force", action="store_true", help="pack everything anew")
        parser.add_argument(
            "--on",
            metavar="ray[://HOST:PORT]",
            help="pack on all nodes of a Ray cluster: that of RAY_ADDRESS or this machine (one is started if none is "
            "there), or the one at HOST. Every node needs this package, the store's keys in its own environment, and "
            "files and folders at the same paths",
        )
