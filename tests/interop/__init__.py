"""Our model client against real model servers: `make interop`."""
