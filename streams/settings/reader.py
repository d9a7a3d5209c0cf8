"""Reads the settings: environment over TOML file over defaults. No other module reads either.

A wrong setting is a `SettingsError` of one line that names the setting, its source and the allowed values.
"""

import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from agents.http.egress import parse_allowed
from streams.settings.addresses import is_brokers, is_redis_or_empty, is_url_or_empty
from streams.settings.allowed import allowed_values
from streams.settings.errors import SettingsError
from streams.settings.model import Settings
from streams.settings.secrets import is_secret, masked

DEFAULT = "default"
"""The source of a setting that has its default value."""

_PREFIX = "KOTAE_"
_CONFIG = "KOTAE_CONFIG"
_SECTIONS = {
    section.name: {option.name: option for option in msgspec.structs.fields(section.type)}
    for section in msgspec.structs.fields(Settings)
    if section.name != "tools"
}


def _kind(option: msgspec.structs.FieldInfo) -> tuple[inspect.Type, dict[str, Any]]:
    """Return the type of a setting, and the extra facts in its declaration."""
    kind = inspect.type_info(option.type)
    return (kind.type, kind.extra or {}) if isinstance(kind, inspect.Metadata) else (kind, {})


_URLS = {
    f"{section}.{name}": extra
    for section, options in _SECTIONS.items()
    for name, option in options.items()
    if "url" in (extra := _kind(option)[1])
}
_VARIABLES = {
    f"{_PREFIX}{section}__{name}".upper(): (section, name)
    for section, options in _SECTIONS.items()
    for name in options
}


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings and the source of each.

    Attributes:
        settings: the values.
        sources: by `section.name` (and `tools.NAME`): the environment variable, the file, or `DEFAULT`.
        environ: the environment that was read; `{env = "NAME"}` refers to its variables.
        warnings: lines about variables that look like settings and are none.
    """

    settings: Settings
    sources: Mapping[str, str]
    environ: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _GivenValue:
    value: Any
    source: str
    is_text: bool


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> LoadedSettings:
    """Read all settings; `path` is the TOML file (default: the one that `KOTAE_CONFIG` names, else none).

    Raises:
        SettingsError: the first wrong setting.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, _GivenValue] = {}
    tools: dict[str, dict[str, Any]] = {}
    file = str(path) if path is not None else environ.get(_CONFIG, "")
    if file:
        given, tools = _from_file(file, _CONFIG if path is None else "--config")
    given |= _from_environment(environ)
    sources = {
        f"{section}.{name}": given[key].source if (key := f"{section}.{name}") in given else DEFAULT
        for section, options in _SECTIONS.items()
        for name in options
    }
    values: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, one in given.items():
        section, _, name = key.partition(".")
        values[section][name] = _converted(key, one)
    settings = msgspec.convert(values | {"tools": tools}, Settings)
    _check(settings, sources)
    sources |= {f"tools.{name}": file for name in tools}
    return LoadedSettings(settings, sources, environ, tuple(_warnings(environ)))


def _from_environment(environ: Mapping[str, str]) -> dict[str, _GivenValue]:
    given = {}
    for variable in sorted(environ):
        # Kubernetes sets others in every pod beside a Service named `kotae`, such as KOTAE_SERVICE_HOST.
        if not variable.startswith(_PREFIX) or "__" not in variable:
            continue
        source = f"environment variable {variable}"
        if variable not in _VARIABLES:
            if variable.startswith(f"{_PREFIX}TOOLS__"):
                raise SettingsError(f"{source}: tools are declared in the TOML file, as [tools.NAME]")
            raise SettingsError(f"{source}: there is no such setting; {_variable_meant(variable)}")
        section, name = _VARIABLES[variable]
        given[f"{section}.{name}"] = _GivenValue(environ[variable], source, is_text=True)
    return given


def _warnings(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell of variables that would be settings if one of their underscores were doubled."""
    for variable in sorted(environ):
        doubled = (f"{variable[:at]}_{variable[at:]}" for at, sign in enumerate(variable) if sign == "_")
        if meant := next((name for name in doubled if name in _VARIABLES), None):
            yield (
                f"environment variable {variable} is not read: {meant}, with two underscores, is the setting "
                "(a Service of Kubernetes sets such names, too)"
            )


def _from_file(file: str, named_by: str) -> tuple[dict[str, _GivenValue], dict[str, dict[str, Any]]]:
    try:
        tables = tomllib.loads(Path(file).read_text("utf-8-sig"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"{file}: {reason}; {named_by} must name a readable TOML file") from None
    except ValueError as error:  # TOMLDecodeError, and UnicodeDecodeError
        raise SettingsError(f"{file}: not a TOML file: {error}") from None
    given = {}
    for section, table in tables.items():
        if section != "tools" and section not in _SECTIONS:
            known = [*_SECTIONS, "tools"]
            raise SettingsError(f"{file}: there is no section {section!r}; {_suggestion(section, known)}")
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: {section} must be a table: [{section}]")
        if section == "tools":
            continue
        for name, value in table.items():
            source = f"{file} [{section}] {_one_line(name)}"
            if name not in _SECTIONS[section]:
                raise SettingsError(
                    f"{source}: there is no such setting; {_suggestion(name, _SECTIONS[section])}"
                )
            given[f"{section}.{name}"] = _GivenValue(value, source, is_text=False)
    tools = tables.get("tools", {})
    for name, tool in tools.items():
        if not isinstance(tool, dict):
            raise SettingsError(f"{file} [tools] {_one_line(name)}: must be a table: [tools.NAME]")
    return given, tools


def _converted(key: str, given: _GivenValue) -> Any:
    section, _, name = key.partition(".")
    option = _SECTIONS[section][name]
    kind, extra = _kind(option)
    value = given.value
    if "json" in extra:
        return _from_json(key, given, option.type, extra["json"])
    if given.is_text:
        value = value.strip()
        if isinstance(kind, inspect.VarTupleType):
            value = [part for part in map(str.strip, value.split(",")) if part]
    try:
        converted = msgspec.convert(value, option.type, strict=not given.is_text)
    except msgspec.ValidationError:
        raise _wrong(key, given.source, allowed_values(kind), given.value) from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise _wrong(key, given.source, allowed_values(kind), given.value)
    return converted


def _from_json(key: str, given: _GivenValue, kind: Any, allowed: str) -> Any:
    """Convert JSON or a TOML table; a text in the TOML file is JSON too, because TOML has no null."""
    value = given.value
    try:
        if isinstance(value, str):
            value = msgspec.json.decode(value) if value.strip() else {}
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError:
        # Without the value, which may hold a key.
        raise SettingsError(f"{given.source}: {key} must be {allowed}") from None


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    checks: list[tuple[str, Callable[[str], bool], str]] = [
        ("kafka.bootstrap_servers", is_brokers, "one or several host:port, comma-separated without spaces"),
        *((key, is_url_or_empty, extra["url"]) for key, extra in _URLS.items()),
        ("cache.redis_url", is_redis_or_empty, "an address such as redis://127.0.0.1:6379/0, or empty"),
    ]
    for key, holds, allowed in checks:
        section, _, name = key.partition(".")
        value = getattr(getattr(settings, section), name)
        if not holds(value):
            raise _wrong(key, sources[key], allowed, value)
        if key in _URLS:
            _check_user(settings, key, sources[key], value)
    try:
        parse_allowed(settings.egress.allow)
    except ValueError as error:
        allowed = "a list of host:port, such as erp.internal:443"
        raise _wrong("egress.allow", sources["egress.allow"], allowed, str(error)) from None
    embeddings = settings.embeddings
    if embeddings.local and embeddings.base_url:
        allowed = "empty while embeddings.base_url is set: a worker uses one model for all documents"
        raise _wrong("embeddings.local", sources["embeddings.local"], allowed, embeddings.local)
    worker = settings.worker
    if worker.http_port and worker.http_port + worker.processes - 1 > 65535:
        source = sources["worker.http_port"] if sources["worker.http_port"] != DEFAULT else None
        allowed = f"at most {65536 - worker.processes} for {worker.processes} processes with a port each"
        raise _wrong("worker.http_port", source or sources["worker.processes"], allowed, worker.http_port)


def _check_user(settings: Settings, key: str, source: str, url: str) -> None:
    """Refuse a user in an address that cannot use one: every call would fail."""
    section, _, name = key.partition(".")
    key_name = name.replace("base_url", "api_key").replace("_url", "_api_key")
    if "@" not in urlsplit(url).netloc:
        return
    if _URLS[key].get("user") is False:
        allowed = f"an address without user and password (set {section}.{key_name})"
        raise _wrong(key, source, allowed, url)
    if getattr(getattr(settings, section), key_name, ""):
        allowed = (
            f"an address without user and password while {section}.{key_name} is set "
            "(Authorization holds one login)"
        )
        raise _wrong(key, source, allowed, url)


def _wrong(key: str, source: str, allowed: str, value: Any) -> SettingsError:
    shown = "" if is_secret(key) else f", not {_one_line(masked(key, value))}"
    return SettingsError(f"{source}: {key} must be {allowed}{shown}")


def _one_line(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _variable_meant(variable: str) -> str:
    """As `_suggestion`, but lists the sections if no variable is similar: all names would fill a screen."""
    known = {name.removeprefix(_PREFIX): name for name in _VARIABLES}
    close = get_close_matches(variable.removeprefix(_PREFIX), known, n=1)
    if close:
        return f"did you mean {known[close[0]]}?"
    return f"allowed: {', '.join(f'{_PREFIX}{section.upper()}__…' for section in _SECTIONS)}"


def _suggestion(name: str, known: Mapping[str, Any] | list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
