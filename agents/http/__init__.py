"""HTTP as the hot path uses it: one pool of connections for each dependency."""
