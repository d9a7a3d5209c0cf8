"""What stands between a stage and its dependency: breaker, limits, retries, hedging, and a guard of all."""
