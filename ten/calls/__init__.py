"""Calls to a service that may fail: how long to wait, when to try again, how to end another thread's wait."""
