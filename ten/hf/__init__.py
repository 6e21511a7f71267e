"""TEN for transformers: importing this lets `AutoModelForCausalLM` load what `ten export` writes (torch)."""

from transformers import AutoConfig, AutoModelForCausalLM

from ten.hf.cache import TenCache
from ten.hf.config import TenConfig
from ten.hf.model import TenForCausalLM
from ten.model.exported import MODEL_TYPE

__all__ = ["TenCache", "TenConfig", "TenForCausalLM"]

AutoConfig.register(MODEL_TYPE, TenConfig, exist_ok=True)
AutoModelForCausalLM.register(TenConfig, TenForCausalLM, exist_ok=True)
