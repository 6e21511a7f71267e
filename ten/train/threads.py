"""Threads: how those of torch wait for each other on the CPU."""

import os


def calm_threads(threads: int | None) -> None:
    """Import torch with threads that sleep while they wait for each other.

    As they come they spin, and where another process has a core a step takes forty times as long; asleep they cost a
    few percent. The variable is read once, when torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    if threads:
        torch.set_num_threads(threads)
