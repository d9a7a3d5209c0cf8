"""Kafka in and out: the processes, the command line, assembly, observability and settings."""
