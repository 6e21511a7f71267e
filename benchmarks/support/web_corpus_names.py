"""Names of the web corpus at the hub: the peers know these and import nothing of what writes it."""

DATASET = "HuggingFaceFW/fineweb-edu"
CONFIG = "sample-10BT"
TOKENIZER = "openai-community/gpt2"
