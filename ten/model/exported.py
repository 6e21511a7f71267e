"""Exported models: what their config.json says, what their weights are called, the file that leads to our classes."""

from typing import Any

import msgspec

from ten.errors import SpecError
from ten.model.presets import ModelConfig

MODEL_TYPE = "ten"
WEIGHTS_PREFIX = "model."
"""What the class that transformers makes adds to our parameters' names."""
FLOAT32 = ("log_memory", "phase", "decay_logit", "taps")
"""Parameters that stay in float32 in any export: an eigenvalue rounded to bfloat16 forgets at another time."""
MODELING_FILE = "modeling_ten.py"
AUTO_MAP = {"AutoConfig": "modeling_ten.TenConfig", "AutoModelForCausalLM": "modeling_ten.TenForCausalLM"}
MODELING = '''"""Leads transformers (trust_remote_code=True) to the classes of the installed package."""

try:
    from ten.hf import TenConfig, TenForCausalLM
except ImportError as error:
    raise ImportError(
        "this model needs the TEN job bundle: run `pip install PATH` on a copy of the repository that trained it "
        "(the README.md beside these weights says more); a package called ten from an index is another one"
    ) from error

__all__ = ["TenConfig", "TenForCausalLM"]
'''
"""Its import stands in a `try`, so that transformers does not advise to install some other package called ten."""


def exported_config(
    config: ModelConfig, *, vocabulary: int, end_of_document: int, reset_carry: bool, trained_length: int, dtype: str
) -> dict[str, Any]:
    """The content of config.json. `dtype` as torch names it; `trained_length` in tokens, no limit of the model.

    `reset_carry` says whether the token after an end of document begins with nothing remembered, as in training. How
    the scan is computed is left to the machine that loads it.
    """
    return {
        "architectures": ["TenForCausalLM"],
        "auto_map": AUTO_MAP,
        "bos_token_id": end_of_document,
        "dtype": dtype,
        "eos_token_id": end_of_document,
        "hidden_size": config.width,
        "model_type": MODEL_TYPE,
        "num_hidden_layers": config.layers,
        "pad_token_id": end_of_document,
        "reset_carry": reset_carry,
        "ten": msgspec.to_builtins(msgspec.structs.replace(config, backend="auto")),
        "tie_word_embeddings": True,
        "trained_length": trained_length,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def parse_model(tree: dict[str, Any]) -> ModelConfig:
    """The model that `ten` of a config.json describes. Raises SpecError when this package has no such model."""
    try:
        return msgspec.convert(tree, ModelConfig)
    except msgspec.ValidationError as error:
        raise SpecError(
            f"config.json: `ten` is none of this version's models ({error}); install the version that exported it"
        ) from None
