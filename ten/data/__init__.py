"""Corpus → units → shards → rows → order → batches: the shard cache and everything that fills and reads it."""
