"""All scenarios by their number, and the sizes that they run at."""

from tests.acceptance.oracle import scenarios, scenarios_security

SCENARIOS = dict(sorted((scenarios.SCENARIOS | scenarios_security.SCENARIOS).items()))
CI = scenarios.CI | scenarios_security.CI
FULL = scenarios.FULL | scenarios_security.FULL
