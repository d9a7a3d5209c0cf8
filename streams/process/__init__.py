"""Child processes, ports, signals, and the waits between attempts."""
