"""Observability: one hook that everything reports to, and the sinks that read it."""
