"""JobSpec: one job file, composed of every package's settings; loaded, overridden, compared."""

import os
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ten import settings
from ten.data.settings import DataSettings
from ten.errors import SpecError
from ten.model.presets import ModelSettings
from ten.resources import ResourceSettings
from ten.spelling import as_yaml
from ten.train.settings import CheckpointSettings, TrainSettings
from ten.units import named, parse_seconds

FolderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
SecretName = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9]*(_+[A-Z0-9]+)+$")]
"""A variable's name has a `_`; a key of AWS or Spaces, capitals and digits alike, has none."""
ImageName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-zA-Z0-9_./:@-]*$")]
Mode = Literal["streaming", "pretok", "full", "pack"]

MAY_CHANGE = frozenset(
    {
        "version", "name", "run", "mode", "store", "data.cache_dir", "data.cache_limit", "data.keep_files",
        "data.pack_threads", "data.engine", "data.batch_size", "model.backend", "train.epochs",
        "train.tokens", "train.steps", "train.micro_batch_rows", "train.gradient_accumulation", "train.device",
        "train.ranks", "train.shard", "train.threads", "train.memory", "train.segment", "train.compile",
        "train.sinks", "train.spikes", "train.prompts", "train.sample_tokens", "train.evaluate_every",
        "train.evaluate_tokens",
    }
)  # fmt: skip
"""Settings that a run may change between attempts."""
_MAY_CHANGE_WHOLE = ("checkpoint", "limits", "resources", "secrets", "image")


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
    max_cost: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="Dollars that all attempts together may cost, by resources.price_per_hour; then a checkpoint "
            "is written, exit code 75; to go on it must be raised.",
        ),
    ] = None
    idle: Annotated[
        str | None,
        Meta(
            description='Longest time in training without any work done ("15m": a stalled dataset, a hung device); '
            "then a checkpoint is written if it can be, exit code 75."
        ),
    ] = None
    stop_grace: Annotated[
        str, Meta(description='Longest time from a stop to the end, for the last checkpoint to reach the store ("5m").')
    ] = "5m"

    def __post_init__(self) -> None:
        """Refuse a duration whose form is wrong, with the name of the field."""
        for name in ("max_duration", "idle", "stop_grace"):
            if (text := getattr(self, name)) is not None:
                named(f"limits.{name}", partial(parse_seconds, text))


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
    resources: Annotated[ResourceSettings, Meta(description="Which machine.")] = ResourceSettings()
    image: Annotated[
        ImageName | None,
        Meta(
            description="Container image; unset: ten:cuda where resources.accelerators names a GPU, else ten:cpu.",
        ),
    ] = None
    secrets: Annotated[
        tuple[SecretName, ...],
        Meta(description="Names of environment variables that go along to another machine; a value here is an error."),
    ] = ()
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
    _refuse_secret_values(tree, source)
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
    _refuse_secret_values(tree, "command line")
    return settings.convert(tree, JobSpec, "command line")


def _refuse_secret_values(tree: Mapping[str, Any], source: str) -> None:
    """Raise SpecError, without a word of what stands there, where `secrets` is no list of names."""
    try:
        msgspec.convert(tree.get("secrets", []), list[SecretName])
    except msgspec.ValidationError:
        raise SpecError(
            f"{source}: secrets: names of environment variables alone, such as [HF_TOKEN]; their values belong in .env"
        ) from None


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
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value  # as JSON keeps it
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
        if field not in MAY_CHANGE and field.partition(".")[0] not in _MAY_CHANGE_WHOLE:
            raise SpecError(
                f"{where} was made with {field}={as_yaml(old.get(field))}, and this job has "
                f"{as_yaml(new.get(field))}; go on with "
                f"{_flag(field, old.get(field))}, or start another run with --set run=NAME"
            )
        changed.append(_change(field, old, new))
    return changed


def _change(field: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return f"{field}: {as_yaml(old.get(field))} → {as_yaml(new.get(field))}"


def _what_differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why two jobs read different shards, and how the second reads those of the first."""
    fields = sorted(field for field in DECIDED_BY_FINGERPRINT if old.get(field) != new.get(field))
    if not fields:
        return (
            f"the files of {new['data.dataset']} have changed; put them back, or start another run with --set run=NAME"
        )
    told = ", ".join(_change(field, old, new) for field in fields)
    return f"{told}; go on with {' '.join(_flag(field, old.get(field)) for field in fields)}, or start another run " + (
        "with --set run=NAME"
    )


def _flag(field: str, value: Any) -> str:
    text = "null" if value is None else as_yaml(value)
    if field == "data.revision" and value is not None:
        return f"--revision {shlex.quote(text)}"
    return f"--set {field}={shlex.quote(text)}"
