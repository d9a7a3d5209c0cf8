"""Child processes, ports and signals."""
