"""Jobs that an operator does on the topics of a running service."""
