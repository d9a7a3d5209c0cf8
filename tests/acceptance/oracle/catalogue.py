"""All scenarios by their number, and the sizes that they run at."""

from tests.acceptance.oracle import (
    scenarios,
    scenarios_again,
    scenarios_cancels,
    scenarios_load,
    scenarios_models,
    scenarios_security,
    scenarios_stores,
    scenarios_tenants,
)

_MODULES = (
    scenarios,
    scenarios_again,
    scenarios_cancels,
    scenarios_load,
    scenarios_models,
    scenarios_security,
    scenarios_stores,
    scenarios_tenants,
)

SCENARIOS = {number: one for module in _MODULES for number, one in module.SCENARIOS.items()}
SCENARIOS = dict(sorted(SCENARIOS.items()))
CI = {number: size for module in _MODULES for number, size in module.CI.items()}
FULL = {number: size for module in _MODULES for number, size in module.FULL.items()}
