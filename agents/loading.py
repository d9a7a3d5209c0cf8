"""Load the components that settings name, by import path (`module:attribute`) or as an entry point.

The reference names a factory, which takes `Resources` and returns the component. A factory that changes
only a part of a default component wraps the default, which it finds in `Resources`.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, get_origin

from agents.components import Generator, Planner, Retriever, Rewriter, ToolExecutor
from agents.journal import Journal, NoJournal

if TYPE_CHECKING:
    import httpx

COMPONENTS_GROUP = "kotae.components"
"""Entry points that are factories of components."""
TOOLS_GROUP = "kotae.tools"
"""Entry points that are async functions to be offered as tools."""


class LoadingError(ValueError):
    """A reference names nothing, or nothing that can be used. The message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The parts of the worker that a component's factory may use.

    Attributes:
        http: returns the `httpx.AsyncClient` over the worker's pool. Call it while a loop runs, that is in
            the component's coroutines; the worker closes the client.
        retriever, planner, tool_executor, generator: the default components.
        rewriter: the model's, for follow-up questions; None: rules rewrite them.
        journal: for a custom graph: it keeps tools that are not idempotent from being called twice.
    """

    http: "Callable[[], httpx.AsyncClient]"
    retriever: Retriever
    planner: Planner
    tool_executor: ToolExecutor
    generator: Generator
    rewriter: Rewriter | None = None
    journal: Journal = field(default_factory=NoJournal)


def load_component(reference: str, group: str = COMPONENTS_GROUP) -> Callable[..., Any]:
    """Return the callable that the reference names: `module:attribute`, or an entry point of the group.

    Raises:
        LoadingError: there is no such module, attribute or entry point, or it is not callable.
    """
    found = _imported(reference) if ":" in reference else _entry_point(reference, group)
    if not callable(found):
        raise LoadingError(f"{reference}: is a {type(found).__name__}, which is not callable")
    loaded: Callable[..., Any] = found
    return loaded


def make_component(reference: str, protocol: type[Any], resources: Resources) -> Any:
    """Call the factory that the reference names, and check the component that it returns.

    Raises:
        LoadingError: as `load_component`; or the factory failed, or its component lacks a method.
    """
    factory = load_component(reference)
    try:
        component = factory(resources)
    except Exception as error:
        raise LoadingError(f"{reference}: the factory failed: {_one_line(error)}") from error
    check_component(component, protocol, reference)
    return component


def check_component(component: object, protocol: type[Any], reference: str) -> None:
    """Check that the component has the protocol's methods, and that they are asynchronous where they must be.

    Raises:
        LoadingError: a method is missing or not asynchronous; the message names it.
    """
    if isinstance(component, type):
        raise LoadingError(f"{reference}: returned the class {component.__name__}, not an instance of it")
    kind = type(component).__name__
    for name, declared in vars(protocol).items():
        if name.startswith("_") or not inspect.isfunction(declared):
            continue
        method = getattr(component, name, None)
        is_async = _is_async(declared)
        if not callable(method):
            wanted = "async method" if is_async else "method"
            raise LoadingError(
                f"{reference}: a {protocol.__name__} needs the {wanted} `{name}`, and {kind} has none"
            )
        if is_async and not _is_async(method):
            raise LoadingError(
                f"{reference}: `{name}` of {kind} must be an `async def` that returns its result"
            )


def _is_async(method: Any) -> bool:
    """Whether the method is an `async def`, or is annotated to return an awaitable, as guarded ones are."""
    returned = getattr(method, "__annotations__", {}).get("return")
    return inspect.iscoroutinefunction(method) or (get_origin(returned) or returned) in (Awaitable, Coroutine)


def load_entry_points(group: str) -> dict[str, Any]:
    """Load the entry points of installed packages in the group, by name.

    Raises:
        LoadingError: one cannot be loaded, or two packages use the same name.
    """
    loaded: dict[str, Any] = {}
    for entry in _sorted_entries(group):
        if entry.name in loaded:
            raise LoadingError(f"entry point {entry.name!r} of {group}: two packages use this name")
        loaded[entry.name] = _loaded(entry)
    return loaded


def _sorted_entries(group: str) -> list[EntryPoint]:
    # A package that is on the path twice, as in an editable install, counts once.
    return sorted({(entry.name, entry.value): entry for entry in entry_points(group=group)}.values())


def _entry_point(name: str, group: str) -> Any:
    entries = _sorted_entries(group)
    for entry in entries:
        if entry.name == name:
            return _loaded(entry)
    known = ", ".join(entry.name for entry in entries) or "none"
    raise LoadingError(
        f"{name}: neither module:attribute nor the name of an entry point of {group} (known: {known})"
    )


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise LoadingError(f"entry point {entry.name!r} ({entry.value}): {_one_line(error)}") from error


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
        raise LoadingError(f"{reference}: importing {module_name} failed: {_one_line(error)}") from error
    except Exception as error:
        raise LoadingError(f"{reference}: importing {module_name} failed: {_one_line(error)}") from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise LoadingError(f"{reference}: {module_name} has no attribute {path}") from error
    return found


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
