"""The hub over HTTP: its addresses, its bytes, its lists of files, and which data sets have a short name."""
