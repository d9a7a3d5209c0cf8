"""Decides when a record may run and when its offset may be committed: pure decisions in a thin shell."""
