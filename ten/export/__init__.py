"""A trained run in the form in which others take it: as a folder for transformers, and to their benchmarks."""
