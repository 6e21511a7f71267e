"""Verbs: what each word after `ten` does, from the arguments of the command line to its exit code."""
