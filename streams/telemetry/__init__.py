"""Observability: the hook that every part reports to, and its sinks, metrics and logs."""
