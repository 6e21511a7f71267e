"""Sinks: other instruments that are told what metrics.jsonl says, each by a process of its own. No torch."""
