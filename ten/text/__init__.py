"""Text: which documents a data set has, wherever its files lie, and which ids they become."""
