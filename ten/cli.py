"""Verbs → functions, errors → exit codes. Imports nothing heavy before a verb needs it."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Never

import msgspec

from ten import logs
from ten.environment import load_environment
from ten.errors import Resumable, TenError
from ten.flags import job_settings, parse_arguments
from ten.job import JobSpec, load_job
from ten.units import format_bytes, format_count, format_seconds

_INTERRUPTED = "stopped; everything finished so far is kept, run the same command again to go on"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Known errors are one line on stderr, anything else is a bug's traceback."""
    logs.show_messages()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        load_environment()
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        return _VERBS[arguments.verb](arguments)
    except TenError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain(_INTERRUPTED)
        return Resumable.exit_code
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        sys.stderr.close()
        return 0


def _terminate(_number: int, _frame: FrameType | None) -> Never:
    """Before and after the training loop, which has a handler of its own, a stop is a stop: nothing may swallow it."""
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    print(f"ten: {message}", file=sys.stderr)  # noqa: T201 - the terminal is this module's business


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _job(arguments: argparse.Namespace) -> JobSpec:
    path = Path(arguments.job) if arguments.job else None
    return load_job(path, job_settings(arguments), arguments.set, name=arguments.verb)


def _plan(arguments: argparse.Namespace) -> int:
    from ten.plan import describe_plan, make_plan
    from ten.preparation import Preparation

    plan = make_plan(Preparation(_job(arguments)))
    _show(_json(plan) if getattr(arguments, "json", False) else describe_plan(plan))
    return 0


def _pack(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        return _plan(arguments)
    from ten.data.rows import row_count
    from ten.feeding import pack
    from ten.preparation import Preparation

    spec = _job(arguments)
    job = Preparation(spec if spec.mode == "full" else msgspec.structs.replace(spec, mode="pack"))
    cache = job.open_cache()
    packed = pack(job, force=arguments.force)
    manifest = packed.manifest
    rows = sum(row_count(shard.tokens, job.seq_len) for shard in cache.pack.entries(manifest))
    made = f"{packed.packed} of {manifest.units} shards made now with {packed.engine}"
    _show(
        f"packed {format_count(manifest.tokens)} tokens of {manifest.documents:,} documents into {cache.address} "
        f"({format_bytes(manifest.bytes)}; {made if packed.packed else 'it was complete'})\n"
        f"{rows:,} rows of {job.seq_len:,} tokens; held out: "
        f"{manifest.held_out_documents:,} documents; without text: {manifest.skipped:,} records"
        + (f"; row groups that do not decode, left out: {manifest.bad:,}" if manifest.bad else "")
    )
    return 0


def _train(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        return _plan(arguments)
    from ten.run import train

    outcome = train(_job(arguments))
    if os.environ.get("RANK", "0") != "0":
        return 0
    position, bits, waited = outcome.position, outcome.held_out_bits_per_byte, outcome.waited_share
    length, time = format_count(position.tokens), format_seconds(position.seconds)
    _show(
        f"finished at step {position.step}: {length} tokens in {time}"
        + ("" if outcome.loss is None else f", loss {outcome.loss:.3f} nats per token")
        + ("" if bits is None else f", held out {bits:.3f} bits per byte")
        + ("" if waited is None else f"\nwaited for data {waited:.1%} of the time")
        + f"\ncheckpoint {outcome.checkpoint}"
    )
    return 0


def _eval(arguments: argparse.Namespace) -> int:
    from ten import settings
    from ten.inference import evaluate
    from ten.preparation import Preparation
    from ten.runs import find_run

    run = find_run(arguments.run, _store(arguments))
    tree = msgspec.to_builtins(run.job)
    tree["store"] = str(_store(arguments))
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
    result = evaluate(job, run)
    _show(
        _json(result)
        if arguments.json
        else f"{result.run} {result.checkpoint} on {result.dataset}: {result.bits_per_byte:.4f} bits per byte "
        f"({result.bits_per_token:.4f} per token, {format_count(result.tokens)} tokens of held-out text)"
    )
    return 0


def _generate(arguments: argparse.Namespace) -> int:
    from ten.inference import generate
    from ten.runs import find_run

    pieces = generate(
        find_run(arguments.run, _store(arguments)),
        arguments.prompt,
        max_tokens=arguments.max_tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    sys.stdout.write(arguments.prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from ten.errors import DataError
    from ten.verify import find_path, verify

    report = verify(find_path(arguments.path, _store(arguments)))
    if arguments.json:
        _show(_json(report))
    for finding in () if arguments.json else report.damaged:
        _show(f"damaged {finding.kind}: {finding.damage}")
    for pack in () if arguments.json else report.unfinished:
        _show(f"unfinished pack (as streaming leaves them; `ten pack` with the same settings completes it): {pack}")
    if not arguments.json:
        sound = report.checked - len(report.damaged)
        _show(f"{sound} of {report.checked} objects sound, {format_bytes(report.bytes)} read")
    return DataError.exit_code if report.damaged else 0


def _store(arguments: argparse.Namespace) -> Path:
    return Path(arguments.store or JobSpec().store)


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": _plan,
    "pack": _pack,
    "train": _train,
    "eval": _eval,
    "generate": _generate,
    "verify": _verify,
}


def entry() -> Never:
    """The command `ten`: what a signal could still stop after the verb has ended is only Python's own leave-taking."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    entry()
