"""One worker process, and the supervisor of several."""
