"""JobSpec: one job file, composed of every package's settings; loaded, overridden, compared."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ten import settings
from ten.data.settings import DataSettings
from ten.errors import SpecError
from ten.model.presets import ModelSettings
from ten.train.settings import CheckpointSettings, TrainSettings
from ten.units import parse_seconds

FolderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Mode = Literal["streaming", "pretok", "full", "pack"]

MAY_CHANGE = frozenset(
    {
        "version", "name", "run", "mode", "store", "data.cache_dir", "data.cache_limit", "data.keep_files",
        "data.pack_threads", "data.engine", "data.batch_size", "model.backend", "model.recompute", "train.epochs",
        "train.tokens", "train.steps", "train.micro_batch_rows", "train.gradient_accumulation", "train.device",
        "train.threads", "train.evaluate_every", "train.evaluate_tokens",
    }
)  # fmt: skip
"""Settings that a run may change between attempts; `checkpoint` and `limits` as a whole may change too."""


DECIDED_BY_FINGERPRINT = frozenset(
    {
        "data.dataset", "data.text_column", "data.tokenizer", "data.end_of_document", "data.subset_size",
        "data.invalid_text", "data.revision", "data.split", "data.skip_bad",
    }
)  # fmt: skip
"""Settings that only say which shards to read: where the fingerprints agree, so do they."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a run stops by itself, with everything saved."""

    max_duration: Annotated[
        str | None, Meta(description='Longest time of one attempt ("6h"); then a checkpoint is written, exit code 75.')
    ] = None
    stop_grace: Annotated[
        str, Meta(description='Longest time from a stop to the end, for the last checkpoint to reach the store ("5m").')
    ] = "5m"

    def __post_init__(self) -> None:
        """Refuse a duration whose form is wrong."""
        if self.max_duration is not None:
            parse_seconds(self.max_duration)
        parse_seconds(self.stop_grace)


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job file says. Every field has a default, and every field can be set from the command line."""

    version: Annotated[Literal[1], Meta(description="Of the job file's form.")] = 1
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="First part of the run's id.")] = (
        "run"
    )
    run: Annotated[FolderName | None, Meta(description="The run's id; unset: NAME-DATASET-CONFIG.")] = None
    mode: Annotated[
        Mode,
        Meta(
            description="streaming: pack on demand while training; pretok: read a finished pack; "
            "full: pack everything, then train; pack: for `ten pack` only."
        ),
    ] = "streaming"
    data: Annotated[DataSettings, Meta(description="Which text, as which tokens.")] = DataSettings()
    model: Annotated[ModelSettings, Meta(description="Which model.")] = ModelSettings()
    train: Annotated[TrainSettings, Meta(description="How it is trained.")] = TrainSettings()
    checkpoint: Annotated[CheckpointSettings, Meta(description="What is kept on the way.")] = CheckpointSettings()
    limits: Annotated[LimitSettings, Meta(description="When to stop early.")] = LimitSettings()
    store: Annotated[
        str,
        Meta(description="Folder or s3://bucket/prefix for packs and runs; TEN_STORE when unset, else ten-data."),
    ] = msgspec.field(default_factory=lambda: os.environ.get("TEN_STORE") or "ten-data")


def load_job(path: Path | None, flags: Mapping[str, Any], sets: Sequence[str], name: str = "run") -> JobSpec:
    """A job file (or the defaults, called `name`) with flags over it and `--set path=value` over these.

    Raises SpecError naming file, line and path; MissingInput when there is no such file.
    """
    tree, lines = settings.load_yaml(path) if path else ({"name": name}, {})
    source = str(path) if path else "command line"
    settings.convert(tree, JobSpec, source, lines)
    for field, value in flags.items():
        settings.set_path(tree, field, value)
    for assignment in sets:
        field, equals, text = assignment.partition("=")
        if not equals:
            raise SpecError(f"--set {assignment}: write --set path=value, such as --set train.steps=100")
        known = settings.field_paths(JobSpec)
        if field not in known:
            raise SpecError(f"--set {field}: unknown setting; {settings.nearest(field, known)}")
        settings.set_path(tree, field, settings.parse_value(text))
    return settings.convert(tree, JobSpec, "command line")


def pack_command(spec: JobSpec) -> str:
    """The command line that packs what a job reads."""
    defaults = msgspec.to_builtins(DataSettings())
    given = {
        f"data.{name}": value
        for name, value in msgspec.to_builtins(spec.data).items()
        if value != defaults[name] and name != "seed"
    }
    given["store"] = spec.store
    return " ".join(["ten pack", *(f"--set {name}={_quoted(value)}" for name, value in given.items())])


def _quoted(value: object) -> str:
    text = str(value)
    return f"'{text}'" if set(text) & set(" *?[]$;&'\"") else text


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def refuse_other_spec(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> list[str]:
    """Compare the resolved spec of a checkpoint with the one asked for.

    Returns what changed among the settings that may. Raises SpecError naming the first setting that may not.
    """
    old, new = flatten(saved), flatten(wanted)
    same_data = old.get("data.fingerprint") == new.get("data.fingerprint")
    if not same_data:
        raise SpecError(f"{where} was made from other data: {_what_differs(old, new)}")
    changed: list[str] = []
    for field in sorted(old.keys() | new.keys()):
        if old.get(field) == new.get(field) or (same_data and field in DECIDED_BY_FINGERPRINT):
            continue
        if field not in MAY_CHANGE and field.partition(".")[0] not in ("checkpoint", "limits"):
            raise SpecError(
                f"{where} was made with {field}={old.get(field)!r}, and this job has {new.get(field)!r}; put it back, "
                "or start another run with --set run=NAME"
            )
        changed.append(f"{field}: {old.get(field)} → {new.get(field)}")
    return changed


def _what_differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why two jobs read different shards, and how the second reads those of the first."""
    fields = sorted(field for field in DECIDED_BY_FINGERPRINT if old.get(field) != new.get(field))
    if not fields:
        return (
            f"the files of {new['data.dataset']} have changed; put them back, or start another run with --set run=NAME"
        )
    told = ", ".join(f"{field}: {old.get(field)} → {new.get(field)}" for field in fields)
    return f"{told}; go on with {' '.join(_flag(field, old.get(field)) for field in fields)}, or start another run " + (
        "with --set run=NAME"
    )


def _flag(field: str, value: Any) -> str:
    text = "null" if value is None else str(value)
    if field == "data.revision" and value is not None:
        return f"--revision {shlex.quote(text)}"
    return f"--set {field}={shlex.quote(text)}"
