"""Runs as one page, from metrics.jsonl, run.json, samples.jsonl and the newest checkpoint. No torch, no network."""
