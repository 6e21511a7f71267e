"""The doctor: what can be found wrong with a job, its machine and its services before a dollar is spent. No torch."""
