"""The language model: its presets and their cost, its layers, its loss, and text from it."""
