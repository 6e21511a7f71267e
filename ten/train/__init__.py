"""The trainer: loop, optimizer step, schedule, checkpoints, metrics and the ways to stop."""
