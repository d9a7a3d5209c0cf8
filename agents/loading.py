"""Components named in settings: by import path (`module:attribute`) or as an entry point.

A component's reference leads to a factory, which is called with `Resources` and returns it. Users
who want to change only a part of what a default does wrap the default that they find there.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, get_origin

from agents.components import Generator, Planner, Retriever, ToolExecutor
from agents.journal import Journal, NoJournal

if TYPE_CHECKING:
    import httpx

COMPONENTS_GROUP = "kotae.components"
"""Entry points that are factories of components."""
TOOLS_GROUP = "kotae.tools"
"""Entry points that are async functions to be offered as tools."""


class LoadingError(ValueError):
    """A reference leads nowhere, or to something that will not do: one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a component's factory is given.

    Attributes:
        http: gives the `httpx.AsyncClient` over the worker's pool; call it where a loop runs, that is
            in the component's own coroutines, and leave closing to the worker.
        retriever, planner, tool_executor, generator: the defaults, to be wrapped or left alone.
        journal: for a graph of one's own: what keeps calls that may not be repeated from being repeated.
    """

    http: "Callable[[], httpx.AsyncClient]"
    retriever: Retriever
    planner: Planner
    tool_executor: ToolExecutor
    generator: Generator
    journal: Journal = field(default_factory=NoJournal)


def load_component(reference: str, group: str = COMPONENTS_GROUP) -> Callable[..., Any]:
    """What the reference names: `module:attribute`, or an entry point of the group.

    Raises:
        LoadingError: there is no such module, attribute or entry point, or it cannot be called.
    """
    found = _imported(reference) if ":" in reference else _entry_point(reference, group)
    if not callable(found):
        raise LoadingError(f"{reference}: is a {type(found).__name__}, and cannot be called")
    loaded: Callable[..., Any] = found
    return loaded


def make_component(reference: str, protocol: type[Any], resources: Resources) -> Any:
    """Call the factory that the reference names, and check what it returns.

    Raises:
        LoadingError: as `load_component`; the factory failed; or its result lacks a method.
    """
    factory = load_component(reference)
    try:
        component = factory(resources)
    except Exception as error:
        raise LoadingError(f"{reference}: failed when called: {_told(error)}") from error
    check_component(component, protocol, reference)
    return component


def check_component(component: object, protocol: type[Any], reference: str) -> None:
    """Whether the component has the protocol's methods, asynchronous where the protocol's are.

    Raises:
        LoadingError: names the method that is missing or is not asynchronous.
    """
    if isinstance(component, type):
        raise LoadingError(f"{reference}: gave the class {component.__name__}, not an instance of it")
    kind = type(component).__name__
    for name, declared in vars(protocol).items():
        if name.startswith("_") or not inspect.isfunction(declared):
            continue
        method = getattr(component, name, None)
        is_async = _is_async(declared)
        if not callable(method):
            wanted = "async method" if is_async else "method"
            raise LoadingError(
                f"{reference}: a {protocol.__name__} needs the {wanted} `{name}`, {kind} has none"
            )
        if is_async and not _is_async(method):
            raise LoadingError(
                f"{reference}: `{name}` of {kind} must be an `async def` that returns its result"
            )


def _is_async(method: Any) -> bool:
    """Whether it is an `async def`, or says that what it returns is to be awaited, as our guarded ones do."""
    returned = getattr(method, "__annotations__", {}).get("return")
    return inspect.iscoroutinefunction(method) or (get_origin(returned) or returned) in (Awaitable, Coroutine)


def load_entry_points(group: str) -> dict[str, Any]:
    """Everything that installed packages put into the group, by name.

    Raises:
        LoadingError: one cannot be loaded, or two packages use one name.
    """
    loaded: dict[str, Any] = {}
    for entry in _sorted_entries(group):
        if entry.name in loaded:
            raise LoadingError(f"entry point {entry.name!r} of {group}: two packages have one of this name")
        loaded[entry.name] = _loaded(entry)
    return loaded


def _sorted_entries(group: str) -> list[EntryPoint]:
    # A package that is on the path twice, as in an editable install, is not two packages.
    return sorted({(entry.name, entry.value): entry for entry in entry_points(group=group)}.values())


def _entry_point(name: str, group: str) -> Any:
    entries = _sorted_entries(group)
    for entry in entries:
        if entry.name == name:
            return _loaded(entry)
    known = ", ".join(entry.name for entry in entries) or "none"
    raise LoadingError(
        f"{name}: no entry point of {group} has this name (known: {known}), and not module:attribute"
    )


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise LoadingError(f"entry point {entry.name!r} ({entry.value}): {_told(error)}") from error


def _imported(reference: str) -> Any:
    module_name, _, path = reference.partition(":")
    if not module_name or not path or module_name.startswith("."):
        raise LoadingError(
            f"{reference}: must be module:attribute, for instance my_package.parts:make_retriever"
        )
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise LoadingError(
                f"{reference}: there is no module {error.name} (not installed, or not on PYTHONPATH)"
            ) from error
        raise LoadingError(f"{reference}: importing {module_name} failed: {_told(error)}") from error
    except Exception as error:
        raise LoadingError(f"{reference}: importing {module_name} failed: {_told(error)}") from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise LoadingError(f"{reference}: {module_name} has no attribute {path}") from error
    return found


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
