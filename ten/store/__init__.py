"""Stores: where packs and runs are kept, behind one small protocol."""
