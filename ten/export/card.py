"""Model card of an exported model: what it is, what it was trained on, how good it is, how to load it."""

import shlex
from pathlib import Path

import msgspec

from ten import __version__, settings
from ten.job import JobSpec, flatten
from ten.text.pins import FILE_NAME, decode_corpus

_CARD = """---
library_name: transformers
license: unknown
pipeline_tag: text-generation
tags: [ten, temporal-eigenstate-network]
---

# {run}

A Temporal Eigenstate Network: a language model whose layers are complex diagonal recurrences (h = λ h + x), so that a
token costs the same after a hundred tokens or a hundred thousand.

| | |
|---|---|
| parameters | {parameters:,} ({config}: {layers} layers, width {width}, {eigenstates} eigenstates a layer) |
| weights | {dtype}, {checkpoint} |
| data set | {dataset} |
| revision | {revision} |
| tokens trained on | {tokens:,}, in rows of {trained_length:,} |
| held-out bits per byte | {score} |
| tokenizer | {tokenizer}, {vocabulary:,} entries |
| licence of the data | unknown: ask whoever publishes the data set |

## Load it

The TEN job bundle must be installed: `pip install PATH`, with a copy of the repository that trained it, and
`pip install transformers`. (What an index of packages has under the name `ten` is something else.)

```python
import ten.hf
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained({folder!r})
tokenizer = AutoTokenizer.from_pretrained({folder!r})
prompt = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=100, do_sample=True, top_p=0.95)[0]))
```

Instead of `import ten.hf`, `trust_remote_code=True` does: lm-evaluation-harness takes it with
`--model hf --model_args pretrained={folder},trust_remote_code=True`. Prompts of several lengths are padded on the left.
The text `{end}` is text to this tokenizer; the token has the id {end_id}.

## How it was made

```sh
{train}
{export}
```

By ten {version}.
"""


_PLACES = ("store", "secrets", "image", "resources", "limits", "checkpoint", "data.cache_dir")
"""Settings of the machine that trained it: nobody else's business."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a card says of a model that its job does not know."""

    run: str
    checkpoint: str
    parameters: int
    tokens: int
    trained_length: int
    vocabulary: int
    dtype: str
    folder: str
    end: str
    end_id: int
    score: float | None
    """Held-out bits per byte; None where the run was not scored."""
    dataset: str
    revision: str
    export: str


def card(job: JobSpec, layers: int, width: int, eigenstates: int, facts: Facts) -> str:
    """The README.md of an exported model."""
    score = "unknown: the run was not scored" if facts.score is None else f"{facts.score:.4f}"
    return _CARD.format(
        **{**msgspec.structs.asdict(facts), "score": score},
        config=job.model.config,
        layers=layers,
        width=width,
        eigenstates=eigenstates,
        tokenizer=job.data.tokenizer,
        train=_train_command(job),
        version=__version__,
    )


def data_set(folder: Path, job: JobSpec) -> tuple[str, str]:
    """The data set of the run in `folder`, and at which revision it was read, as far as the run knows."""
    path = folder / FILE_NAME
    if not path.is_file():
        return job.data.dataset, "unknown: files of the machine that trained it"
    corpus = decode_corpus(path.read_bytes(), str(path))
    assert corpus.asked is not None, "only hub corpora are kept with a run"
    config = f", config {corpus.config}" if corpus.config else ""
    return f"{corpus.dataset} ({corpus.asked.repo}{config})", corpus.revision


def _train_command(job: JobSpec) -> str:
    """The command line that trains such a run: every setting that is not its default and means something elsewhere."""
    given, usual = flatten(msgspec.to_builtins(job)), flatten(msgspec.to_builtins(JobSpec()))
    words = ["ten", "train"]
    for name, value in given.items():
        if value != usual.get(name) and not name.startswith(_PLACES):
            words += ["--set", f"{name}={_text(value)}"]
    return shlex.join(words)


def _text(value: object) -> str:
    """A value that `--set` reads back as it is."""
    if isinstance(value, str) and settings.parse_value(value) == value:
        return value
    return msgspec.json.encode(value).decode()
