"""The model that the settings describe, behind its guard, with the fallback model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.components import Generator, Planner, Rewriter
from agents.http.addresses import Env, HeaderError, resolved_headers
from agents.http.pool import HttpPool, json_body
from agents.models.extractive import ExtractiveGenerator, Extractor, NoPlanner
from agents.models.fallback import FallbackGenerator, FallbackPlanner
from agents.models.openai import OpenAIModel
from agents.models.parameters import OURS
from agents.models.prompt import SystemRole
from agents.resilience.guarded import GuardedGenerator, GuardedPlanner, GuardedRewriter
from streams.assembly.guards import Guards
from streams.settings.errors import SettingsError
from streams.settings.model import Model


def model_servers(
    settings: Model,
    environ: Mapping[str, str],
    open_pool: Callable[[str, str], HttpPool],
    *,
    max_tokens: int | None = None,
) -> list[tuple[str, OpenAIModel]]:
    """Return the first model and the fallback model with their names as dependencies, as far as they are set.

    `environ` holds the header values that stand in the environment. `open_pool` makes the connection pool of
    a dependency at an address. `max_tokens` replaces the setting.

    Raises:
        SettingsError: a header or a parameter in the settings will not do.
    """
    servers = [
        _Server(
            "model",
            "model.",
            settings.base_url,
            settings.name,
            settings.api_key,
            settings.parameters,
            settings.headers,
            settings.system_role,
        ),
        _Server(
            "fallback_model",
            "model.fallback_",
            settings.fallback_base_url,
            settings.fallback_name,
            settings.fallback_api_key,
            settings.fallback_parameters,
            settings.fallback_headers,
            settings.fallback_system_role,
        ),
    ]
    return [
        (
            server.dependency,
            OpenAIModel(
                open_pool(server.dependency, server.base_url),
                server.base_url,
                server.name,
                server.api_key,
                max_tokens=max_tokens or settings.max_tokens,
                temperature=settings.temperature,
                parameters=_checked(f"{server.setting}parameters", server.parameters),
                headers=_resolved(f"{server.setting}headers", server.headers, environ),
                system_role=server.system_role,
                setting=f"{server.setting}parameters".upper(),
            ),
        )
        for server in servers
        if server.base_url
    ]


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The components that call the model, behind its guard; without a `rewriter`, rules rewrite questions."""

    planner: Planner
    generator: Generator
    rewriter: Rewriter | None = None


def build_model(
    settings: Model,
    environ: Mapping[str, str],
    guards: Guards,
    open_pool: Callable[[str, str], HttpPool],
    extractor: Extractor,
) -> ModelParts:
    """Build the model's components. Without a model, no tool is planned and `extractor` answers.

    Raises:
        SettingsError: a header or a parameter in the settings will not do.
    """
    if not settings.base_url:
        return ModelParts(NoPlanner(), ExtractiveGenerator(extractor))

    def guarded(dependency: str, model: OpenAIModel) -> ModelParts:
        guard = guards.model(dependency, settings.max_concurrency)
        return ModelParts(
            GuardedPlanner(model, guard), GuardedGenerator(model, guard), GuardedRewriter(model, guard)
        )

    first, *others = (guarded(*server) for server in model_servers(settings, environ, open_pool))
    if not others:
        return first
    second = others[0]
    # Where the first model does not rewrite, rules do: they cost nothing.
    return ModelParts(
        FallbackPlanner(first.planner, second.planner),
        FallbackGenerator(first.generator, second.generator),
        first.rewriter,
    )


@dataclass(frozen=True, slots=True)
class _Server:
    """The settings of one of the two servers; `setting` is the beginning of their names."""

    dependency: str
    setting: str
    base_url: str
    name: str
    api_key: str
    parameters: Mapping[str, Any]
    headers: Mapping[str, str | Env]
    system_role: SystemRole


def _checked(setting: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    if ours := next((name for name in OURS if name in parameters), ""):
        raise SettingsError(f"{setting}: {ours}: set for every call by Kotae itself")
    try:
        json_body(parameters)
    except TypeError as error:
        raise SettingsError(f"{setting}: cannot be sent as JSON: {error}") from None
    return parameters


def _resolved(setting: str, headers: Mapping[str, str | Env], environ: Mapping[str, str]) -> dict[str, str]:
    try:
        return resolved_headers(setting, headers, environ)
    except HeaderError as error:
        raise SettingsError(str(error)) from error
