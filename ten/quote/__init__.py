"""A quote: what a job's training takes on a machine, in bytes, hours and dollars, and what a budget buys. No torch."""
