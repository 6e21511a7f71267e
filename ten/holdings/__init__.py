"""Holdings: the packs and runs that stores hold, named, listed, verified, repaired and moved."""
