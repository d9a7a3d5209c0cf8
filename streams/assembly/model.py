"""The model that the settings describe, behind its guard, with the fallback model."""

from collections.abc import Callable

from agents.components import Generator, Planner
from agents.http.pool import HttpPool
from agents.models.extractive import ExtractiveGenerator, NoPlanner
from agents.models.fallback import FallbackGenerator, FallbackPlanner
from agents.models.openai import OpenAIModel
from agents.resilience.guarded import GuardedGenerator, GuardedPlanner
from streams.assembly.guards import Guards
from streams.settings.model import Model


def build_model(
    settings: Model, guards: Guards, open_pool: Callable[[str, str], HttpPool]
) -> tuple[Planner, Generator]:
    """Build planner and generator. Without a model, the planner plans nothing and the generator extracts.

    `open_pool` makes the connection pool of a dependency at an address.
    """
    if not settings.base_url:
        return NoPlanner(), ExtractiveGenerator()

    def guarded(
        dependency: str, base_url: str, name: str, api_key: str
    ) -> tuple[GuardedPlanner, GuardedGenerator]:
        model = OpenAIModel(
            open_pool(dependency, base_url),
            base_url,
            name,
            api_key,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
        )
        guard = guards.model(dependency, settings.max_concurrency)
        return GuardedPlanner(model, guard), GuardedGenerator(model, guard)

    planner, generator = guarded("model", settings.base_url, settings.name, settings.api_key)
    if not settings.fallback_base_url:
        return planner, generator
    second_planner, second_generator = guarded(
        "fallback_model", settings.fallback_base_url, settings.fallback_name, settings.fallback_api_key
    )
    return FallbackPlanner(planner, second_planner), FallbackGenerator(generator, second_generator)
