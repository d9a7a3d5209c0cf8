"""Find a package that hides one of Kotae's own, before anything imports it.

`openai-agents`, for one, installs a package `agents` too. If both are in one environment, the one that was
installed last has overwritten files of the other: the place of a package does not show whose it is.
"""

from importlib.machinery import ModuleSpec
from importlib.metadata import distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path

NAMES = ("agents", "schemas")
MARK = "Kotae"
"""A word in the `__init__` of each of our packages, which a test holds to it."""


def hidden_package() -> str:
    """Return one line about a package that Python finds in place of ours; empty: there is none."""
    for name in NAMES:
        spec = find_spec(name)
        if spec is None:
            return f"Kotae's own package `{name}` is missing: install kotae again"
        if not _is_ours(name, spec):
            return _told(name, spec)
    return ""


def _is_ours(name: str, spec: ModuleSpec) -> bool:
    if spec.origin is None:  # a folder without `__init__.py`, as an uninstalled package leaves it
        return False
    # A loader without source code, such as that of a frozen program, holds our own packages alone.
    get_source = getattr(spec.loader, "get_source", None)
    source = None if get_source is None else get_source(name)
    return source is None or MARK in source


def _told(name: str, spec: ModuleSpec) -> str:
    place = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or name))
    others = [
        other
        for other in packages_distributions().get(name, ())
        if other != "kotae" and Path(str(distribution(other).locate_file(place.name))) == place
    ]
    hiding = f"the package {others[0]} ({place})" if others else str(place)
    return f"{hiding} hides Kotae's own package `{name}`: install kotae in an environment of its own"
