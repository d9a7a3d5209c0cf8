"""The guards between stages and their dependencies: breaker, limits, retries and hedging."""
