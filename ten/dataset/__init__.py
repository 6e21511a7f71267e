"""Dataset: which corpus a job means on this machine, and what it reads of it. No torch."""
