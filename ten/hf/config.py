"""Configuration of an exported model as transformers keeps it (transformers)."""

from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
from transformers import PreTrainedConfig

from ten.model.exported import AUTO_MAP, MODEL_TYPE, MODELING, MODELING_FILE, parse_model
from ten.model.presets import PRESETS, ModelConfig


class TenConfig(PreTrainedConfig):  # type: ignore[misc]
    """A `ten.model.presets.ModelConfig` (`ten`, as a mapping; by default that of `nano`) and its vocabulary.

    `hidden_size` and `num_hidden_layers` follow `ten`; other tools ask for them by these names.
    """

    model_type = MODEL_TYPE

    ten: dict[str, Any] | None = None
    vocab_size: int = 50257
    bos_token_id: int | None = 50256
    eos_token_id: int | None = 50256
    pad_token_id: int | None = 50256
    reset_carry: bool = True
    trained_length: int | None = None
    hidden_size: int = 0
    num_hidden_layers: int = 0
    use_cache: bool = True
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        self.ten = msgspec.to_builtins(PRESETS["nano"].config if self.ten is None else parse_model(self.ten))
        self.hidden_size, self.num_hidden_layers = self.model.width, self.model.layers
        super().__post_init__(**{**kwargs, "auto_map": AUTO_MAP})

    @property
    def model(self) -> ModelConfig:
        """The model's own configuration."""
        return parse_model(self.ten or {})

    def save_pretrained(self, save_directory: str | PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write config.json, and beside it the file that leads `trust_remote_code=True` to this package."""
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        (Path(save_directory) / MODELING_FILE).write_text(MODELING, encoding="utf-8")
        super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoConfig") -> None:
        """Nothing: `auto_map` always leads to this package, and none of its files is copied into a model's folder."""
