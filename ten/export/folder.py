"""Folder of an exported model: weights, configuration, tokenizer, card; it appears whole or not at all."""

import contextlib
import json
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ten.errors import SpecError
from ten.export.card import Facts, card, data_set
from ten.export.tokenizer import tokenizer_files
from ten.inference import load_model
from ten.model.cost import parameters
from ten.model.exported import (
    FLOAT32,
    MODEL_TYPE,
    MODELING,
    MODELING_FILE,
    WEIGHTS_PREFIX,
    exported_config,
)
from ten.preparation import Preparation
from ten.runs import Run
from ten.store.durable import TEMPORARY, sync_folder, writing
from ten.store.protocol import Store
from ten.train.metrics import read_metrics

if TYPE_CHECKING:
    from torch import Tensor

    from ten.model.lm import LanguageModel

Dtype = Literal["fp32", "bf16"]
_TORCH_NAMES: dict[str, str] = {"fp32": "float32", "bf16": "bfloat16"}
_Pieces = Callable[[], Iterable[bytes | memoryview]]


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was exported, and where it lies."""

    run: str
    checkpoint: str
    folder: str
    dtype: Dtype
    parameters: int
    bytes: int
    """Of all files."""


def export_folder(run: Run, store: Store) -> Path:
    """Where a run's export goes when nobody says: beside the runs. Raises SpecError where the store is no folder."""
    path = store.local_path(f"exports/{run.record.run}")
    if path is None:
        raise SpecError(f"{store.url} is no folder: say where the export of {run.record.run} goes, with --to DIR")
    return path


def export_run(run: Run, to: Path, *, dtype: Dtype = "fp32", force: bool = False) -> Exported:
    """Write a run's newest sound checkpoint to the folder `to`, as transformers loads it.

    With `bf16` the eigenvalues stay in float32. `force` replaces an export that is there. Raises SpecError where `to`
    is there already, MissingInput and DataError as `load_model` does, and DiskFull; nothing of a failed one stays.
    """
    _require_place(to, force)
    model, checkpoint = load_model(run)
    files = _files(run, model, checkpoint, to, dtype)
    size = _publish(to, files, force=force)
    return Exported(
        run=run.record.run,
        checkpoint=checkpoint.name,
        folder=str(to),
        dtype=dtype,
        parameters=parameters(model.config, model.vocabulary),
        bytes=size,
    )


def _files(run: Run, model: "LanguageModel", checkpoint: Path, to: Path, dtype: Dtype) -> dict[str, _Pieces]:
    from ten.train.checkpoint import read_state

    job, tokenizer, state = run.job, run.tokenizer(), read_state(checkpoint)
    preparation = Preparation(job)
    config, length = preparation.model, preparation.seq_len
    tree = exported_config(
        config,
        vocabulary=tokenizer.vocabulary,
        end_of_document=tokenizer.end_of_document,
        reset_carry=job.data.reset_carry,
        trained_length=length,
        dtype=_TORCH_NAMES[dtype],
    )
    ids = {name: tree[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    texts = tokenizer_files(tokenizer)
    dataset, revision = data_set(run.folder, job)
    facts = Facts(
        run=run.record.run,
        checkpoint=checkpoint.name,
        parameters=parameters(config, tokenizer.vocabulary),
        tokens=state.position.tokens,
        trained_length=length,
        vocabulary=tokenizer.vocabulary,
        dtype=_TORCH_NAMES[dtype],
        folder=to.name,
        end=msgspec.json.decode(texts["tokenizer_config.json"])["eos_token"],
        end_id=tokenizer.end_of_document,
        score=_score(run, state.position.step),
        dataset=dataset,
        revision=revision,
        export=shlex.join(["ten", "export", run.record.run, "--dtype", dtype, "--to", to.name]),
    )
    texts |= {
        "config.json": _as_json(tree),
        "generation_config.json": _as_json(ids),
        MODELING_FILE: MODELING.encode(),
        "README.md": card(job, config.layers, config.width, config.eigenstates, facts).encode(),
    }
    return {"model.safetensors": lambda: _weights(model, dtype)} | {
        name: lambda text=text: [text] for name, text in texts.items()
    }


def _weights(model: "LanguageModel", dtype: Dtype) -> Iterable[bytes | memoryview]:
    import torch

    from ten.train.checkpoint import model_tensors
    from ten.train.tensor_file import pieces

    def stored(name: str, tensor: "Tensor") -> "Tensor":
        stays = dtype == "fp32" or name.endswith(FLOAT32) or not tensor.is_floating_point()
        return tensor if stays else tensor.to(torch.bfloat16)

    tensors = {f"{WEIGHTS_PREFIX}{name}": stored(name, tensor) for name, tensor in model_tensors(model).items()}
    return pieces(tensors, {"format": "pt"})


def _score(run: Run, step: int) -> float | None:
    """The newest held-out bits per byte of the run up to a step."""
    path = run.folder / "metrics.jsonl"
    lines = read_metrics(path) if path.is_file() else []
    scores = [line.held_out_bits_per_byte for line in lines if line.step <= step]
    return next((score for score in reversed(scores) if score is not None), None)


def _as_json(tree: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(tree), indent=2) + b"\n"


def _require_place(to: Path, force: bool) -> None:
    if not to.exists() and not to.is_symlink():
        return
    if not force:
        raise SpecError(f"{to} is there already: name another folder with --to DIR, or replace the export with --force")
    if not _is_export(to):
        raise SpecError(f"{to} is no exported model, and --force replaces nothing else: name another with --to DIR")


def _is_export(folder: Path) -> bool:
    try:
        tree = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    return not folder.is_symlink() and isinstance(tree, dict) and tree.get("model_type") == MODEL_TYPE


def _publish(to: Path, files: dict[str, _Pieces], *, force: bool) -> int:
    """Write all files beside `to` and give them its name last; their bytes together."""
    made = to.absolute().with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    with writing(to, elsewhere="or name another folder with --to DIR"), contextlib.ExitStack() as undo:
        made.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir()
        undo.callback(shutil.rmtree, made, ignore_errors=True)
        size = sum(_write(made / name, content()) for name, content in files.items())
        sync_folder(made)
        _take_name(made, to, replace=force and to.exists())
        sync_folder(made.parent)
    return size


def _take_name(made: Path, to: Path, *, replace: bool) -> None:
    """Rename; what had the name before is deleted when the new one has it, and has it again when that fails."""
    if not replace:
        made.rename(to)
        return
    old = made.with_name(f"{made.name}-old")
    to.rename(old)
    try:
        made.rename(to)
    except OSError:
        old.rename(to)
        raise
    shutil.rmtree(old)


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> int:
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()
