"""TEN job bundle: train Temporal Eigenstate Networks on rented GPUs without losing time, work or money."""

__version__ = "0.1.0"
