"""The language model in the form that transformers generates with, trains and saves (torch, transformers)."""

from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from ten.errors import DataError
from ten.hf.cache import TenCache
from ten.hf.config import TenConfig
from ten.hf.padding import has_padding_behind, place
from ten.model.exported import FLOAT32
from ten.model.lm import LanguageModel


class TenForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """`ten.model.lm.LanguageModel` behind the interface of transformers; its logits and its carry are the same.

    What it cannot do it refuses: padding behind text in generation, embeddings as input, another vocabulary.
    """

    config_class = TenConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    accepts_loss_kwargs = True
    _is_stateful = True
    _keep_in_fp32_modules_strict: ClassVar[list[str]] = list(FLOAT32)

    def __init__(self, config: TenConfig) -> None:
        super().__init__(config)
        self.model = LanguageModel(config.model, config.vocab_size)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As in transformers, but DataError where the weights lack a tensor, which it would leave at random."""
        model, found = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        if found["missing_keys"]:
            where = args[0] if args else "the weights"
            raise DataError(f"{where}: {min(found['missing_keys'])} is missing; export the run again")
        return (model, found) if output_loading_info else model

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoModelForCausalLM") -> None:
        """Nothing: `auto_map` always leads to this package, and none of its files is copied into a model's folder."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: TenCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **loss_arguments: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """input_ids (B, T) → logits (B, T, V) in float32; with labels (B, T; -100 leaves one out) also their loss.

        The token after an end of document begins a document with nothing remembered, where the model was trained so.
        `logits_to_keep`: only the last so many, or those at these columns; 0 gives all. `past_key_values` is changed
        to what comes after this call, unless `use_cache` is false. Raises ValueError for what the class refuses.
        """
        if input_ids is None or inputs_embeds is not None:
            raise ValueError("inputs_embeds: TEN takes input_ids alone")
        if output_attentions or output_hidden_states:
            raise ValueError("TEN has no attentions, and gives no hidden states: use .model for the last ones")
        if past_key_values is not None and not isinstance(past_key_values, TenCache):
            raise ValueError(f"past_key_values is a {type(past_key_values).__name__}; TEN's is a ten.hf.TenCache")
        cache = past_key_values
        if cache is None and (self.config.use_cache and not self.training if use_cache is None else use_cache):
            cache = TenCache()
        end = self.config.eos_token_id if self.config.reset_carry else None
        before, rows_before = (None, None) if cache is None else (cache.carry, cache.rows)
        starts, rows = place(input_ids, attention_mask, rows_before, end_of_document=end)
        hidden, carry = self.model(input_ids, starts, before)
        if cache is not None and use_cache is not False:
            cache.put(carry, rows, input_ids.shape[1])
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.model.logits(hidden[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **loss_arguments)
        output = CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)
        as_mapping = self.config.return_dict if return_dict is None else return_dict
        return output if as_mapping else output.to_tuple()

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *args: Any, is_first_iteration: bool | None = False, **kwargs: Any
    ) -> dict[str, Any]:
        """What one step of generation gives to `forward`. Raises ValueError where a prompt is padded on the right."""
        mask = kwargs.get("attention_mask")
        if mask is not None and is_first_iteration and has_padding_behind(mask):
            raise ValueError("generation goes on where a row ends: pad prompts on the left (padding_side='left')")
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache"):
            inputs["attention_mask"] = None  # what was padding is in the cache, and drawn tokens are none
        return inputs

    def get_input_embeddings(self) -> nn.Module:
        """The table of V rows and the padding after them."""
        return self.model.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Refuse: the table is the head too."""
        raise ValueError("TEN's embedding is its head too, and cannot be exchanged")

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> nn.Module:
        """The table as it is; ValueError when another size is asked for."""
        if new_num_tokens not in (None, self.config.vocab_size):
            raise ValueError(f"the vocabulary of a TEN model stays at {self.config.vocab_size}")
        return self.model.embedding

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the modules of `LanguageModel` have initialised themselves."""

    def _prepare_cache_for_generation(
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        if generation_config.cache_implementation is not None:
            raise ValueError(f"cache_implementation={generation_config.cache_implementation!r}: TEN has but one cache")
        if generation_config.use_cache is not False and model_kwargs.get("past_key_values") is None:
            model_kwargs["past_key_values"] = TenCache()
