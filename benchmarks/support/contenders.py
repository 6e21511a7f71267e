"""The models that quality.py compares: which there are, and each at the size of the default one."""

from typing import Literal, NamedTuple

import msgspec

from benchmarks.support.transformer import Transformer
from ten.model.cost import parameters
from ten.model.lm import LanguageModel
from ten.model.presets import ModelConfig, padded_vocabulary
from ten.train.settings import OptimizerName

VOCABULARY = 257
"""Bytes, and the separator of files."""
STRETCH = 4
"""Rows of so many times the trained length are read as well."""

Form = Literal["ten", "matrix", "paper", "transformer"]


class Contender(NamedTuple):
    """A form of the model and the optimizer of its matrices."""

    form: Form
    optimizer: OptimizerName = "adamw"

    @property
    def name(self) -> str:
        """As the table has it."""
        return self.form if self.optimizer == "adamw" else f"{self.form} + {self.optimizer}"


class Rung(NamedTuple):
    """One size of all models and one length of their training."""

    width: int
    layers: int
    eigenstates: int
    mlp_width: int
    heads: int
    seq_len: int
    rows: int
    steps: int

    @property
    def tokens(self) -> int:
        """Bytes trained on."""
        return self.steps * self.rows * self.seq_len

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{target(self) / 1e6:.2f}M x {self.tokens / 1e6:.2f}MB"


def target(rung: Rung) -> int:
    """Parameters of the default model: everybody's size, within 2%."""
    return parameters(_default(rung), VOCABULARY)


def build(form: Form, rung: Rung) -> LanguageModel | Transformer:
    """A new model of that form; its MLP takes up what its mixer does not use."""
    if form != "transformer":
        return LanguageModel(configuration(form, rung), VOCABULARY)
    width = rung.width
    others = padded_vocabulary(VOCABULARY) * width + width + rung.layers * (4 * width**2 + 2 * width)
    return Transformer(
        vocabulary=VOCABULARY,
        layers=rung.layers,
        width=width,
        heads=rung.heads,
        mlp_width=round((target(rung) - others) / (rung.layers * 3 * width)),
        seq_len=STRETCH * rung.seq_len,
    )


def configuration(form: Form, rung: Rung) -> ModelConfig:
    """The configuration of a form that is ours."""
    changes: dict[Form, dict[str, object]] = {
        "ten": {},
        "matrix": {"variant": "matrix", "coupling": False},
        "paper": {
            "variant": "paper",
            "input_gate": False,
            "convolution": 0,
            "input_scaling": False,
            "positions": rung.seq_len,
        },
    }
    config = msgspec.structs.replace(_default(rung), **changes[form])
    spare = target(rung) - parameters(config, VOCABULARY)
    matrices = 2 if form == "paper" else 3
    return msgspec.structs.replace(
        config, mlp_width=config.mlp_width + round(spare / (rung.layers * rung.width * matrices))
    )


def _default(rung: Rung) -> ModelConfig:
    return ModelConfig(
        layers=rung.layers,
        width=rung.width,
        eigenstates=rung.eigenstates,
        mlp_width=rung.mlp_width,
        heads=rung.heads,
        convolution=4,
        max_memory=float(rung.seq_len),
    )
