"""A plan in lines for people."""

from ten.model.memory_table import describe_level
from ten.plan.count import Plan
from ten.quote.table import describe_quotes
from ten.units import format_bytes, format_count


def describe_plan(plan: Plan) -> str:
    """A plan for people."""
    packed = "packed" if plan.packed else "to be packed"
    shards, checkpoints = format_bytes(plan.pack_bytes), format_bytes(plan.checkpoint_bytes)
    raw = f", raw files: {format_bytes(plan.raw_bytes)}, kept in cache_dir" if plan.raw_bytes else ""
    identity = f", pack {plan.fingerprint[:12]}" if plan.fingerprint else ""
    lines = [
        ("run", f"{plan.run} (mode {plan.mode})"),
        ("model", f"{plan.config}: {plan.parameters:,} parameters, vocabulary {plan.vocabulary:,} ({plan.tokenizer})"),
        (
            "data",
            f"{plan.dataset} ({plan.revision}): {plan.files:,} files, {format_bytes(plan.corpus_bytes)}{identity}",
        ),
        *_hub_lines(plan),
        ("epoch", f"about {format_count(plan.epoch_tokens)} tokens"),
        ("length", f"{plan.tokens:,} tokens = {plan.epochs:g} epochs"),
        ("steps", f"{plan.steps:,} of {plan.step_tokens:,} tokens, rows of {plan.seq_len:,}"),
        ("compute", f"{plan.flops:.3g} FLOPs, {format_count(plan.flops_per_token)} per token"),
        *(("memory" if row is plan.memory[0] else "", describe_level(row)) for row in plan.memory),
        ("disk", f"{shards} of shards ({packed}), {checkpoints} of checkpoints{raw}"),
        (
            "bytes",
            f"{format_bytes(plan.download_bytes)} to download at most, {format_bytes(plan.packing_bytes)} to pack, "
            f"{format_bytes(plan.kept_bytes)} to keep on this disk at most",
        ),
        ("carry", f"{format_bytes(plan.state_bytes)} per sequence while generating, at any length"),
        *(("note", note) for note in plan.notes),
    ]
    told = [f"{name:<8} {text}" for name, text in lines]
    if plan.quotes:
        told += ["", *describe_quotes(plan.quotes, plan.config, plan.tokens, plan.limits)]
    return "\n".join(told)


def _hub_lines(plan: Plan) -> list[tuple[str, str]]:
    """What of a repository at the hub is read."""
    if plan.repository is None:
        return []
    config = f"config {plan.hub_config}, " if plan.hub_config else ""
    column = f", text column {plan.text_column}" if plan.text_column else ""
    return [("hub", f"{plan.repository}, {config}split {plan.split}{column}, commit {plan.revision}")]
