"""A tool that is an async Python function: its hints are the schema, its docstring is the description.

    @tool(idempotent=True, timeout_s=2.0)
    async def convert(
        amount: float, currency: Annotated[str, msgspec.Meta(description="ISO 4217 code.")] = "EUR"
    ) -> str:
        \"\"\"Converts an amount of US dollars into another currency.\"\"\"

Packages offer such functions through the entry-point group `kotae.tools`; the entry point's name is
the tool's.
"""

import copy
import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from agents.components import ToolSpec
from agents.errors import TimedOutError
from agents.loading import TOOLS_GROUP, LoadingError, load_entry_points
from agents.tools.tool import RejectedCallError, ToldError, ToolConfigError

if TYPE_CHECKING:
    import httpx

    from agents.tools.client import InjectedClient

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_DECLARED = "__kotae_tool__"
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?):\s*$", re.MULTILINE)


class ToolError(Exception):
    """An error whose text the asker should read, such as an unknown place. A tool's function raises it.

    Any other exception is a defect: it is logged, and the asker learns only its type.
    """


@dataclass(frozen=True, slots=True)
class _Declaration:
    idempotent: bool = False
    timeout_s: float | None = None
    tenants: frozenset[str] | None = None
    cacheable: bool = False


def tool(
    *,
    idempotent: bool = False,
    timeout_s: float | None = None,
    tenants: frozenset[str] | None = None,
    cacheable: bool = False,
) -> Callable[[F], F]:
    """Declare how a function may be called. The default: not idempotent, usual time-out, all tenants.

    `cacheable`: the result depends on the arguments alone, so that the cache may keep an answer that rests
    on it.

    Raises:
        ToolConfigError: `timeout_s` is not more than 0 seconds.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise ToolConfigError(f"a tool's timeout_s must be more than 0 seconds, not {timeout_s}")

    def declare(function: F) -> F:
        setattr(function, _DECLARED, _Declaration(idempotent, timeout_s, tenants, cacheable))
        return function

    return declare


class PythonTool:
    """One async function as a tool.

    Args:
        function: every parameter needs a type hint that msgspec knows. A parameter with a default is
            optional. A parameter with the hint `httpx.AsyncClient` gets a client and is left out of the
            schema; the client's requests carry the call's headers.
        name: default: the function's own.
        http: returns that client.
        default_timeout_s: for functions that declare no time-out, in seconds.

    Raises:
        ToolConfigError: the function is not `async def`, or lacks a docstring or a usable hint.
    """

    reconcile_url = ""

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        *,
        name: str = "",
        http: "Callable[[], httpx.AsyncClient] | None" = None,
        default_timeout_s: float = 8.0,
    ) -> None:
        name = name or getattr(function, "__name__", type(function).__name__)
        self._where = f"tool {name} ({getattr(function, '__module__', '?')})"
        if not inspect.iscoroutinefunction(function):
            raise ToolConfigError(
                f"{self._where}: must be an `async def`; a plain function would block all other questions"
            )
        description = _SECTION.split(inspect.getdoc(function) or "")[0].strip()
        if not description:
            raise ToolConfigError(f"{self._where}: needs a docstring that tells a model when to call it")
        self._function = function
        self._client_parameter = ""
        self._arguments = self._struct(name)
        self._client = self._injected_client(http) if self._client_parameter else None
        declaration: _Declaration = getattr(function, _DECLARED, _Declaration())
        self.tenants = declaration.tenants
        self.spec = ToolSpec(
            name=name,
            description=" ".join(description.split()),
            parameters=self._schema(),
            timeout_s=declaration.timeout_s or default_timeout_s,
            idempotent=declaration.idempotent,
            cacheable=declaration.cacheable,
        )

    def __repr__(self) -> str:
        return f"<PythonTool {self.spec.name}>"

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        """Call the function with the arguments converted to its hints."""
        dependency = f"tools/{self.spec.name}"
        try:
            converted = msgspec.convert(arguments, self._arguments)
        except msgspec.ValidationError as error:
            raise RejectedCallError(dependency, str(error)) from error
        keywords = {name: getattr(converted, name) for name in converted.__struct_fields__}
        try:
            if self._client is None:
                result = await self._function(**keywords)
            else:
                result = await self._client.acall(
                    dependency,
                    lambda client: self._function(**keywords, **{self._client_parameter: client}),
                    headers,
                )
        except ToolError as error:
            raise ToldError(dependency, str(error)) from error
        except TimeoutError as error:
            raise TimedOutError(dependency, "a call that it awaited took too long") from error
        except SystemExit as error:
            # SystemExit would end the worker, and every other one that reads the question after it.
            raise RuntimeError(f"{self._where}: called sys.exit") from error
        return msgspec.to_builtins(result, str_keys=True)

    async def aclose(self) -> None:
        """Do nothing: all connections belong to the pool."""

    def _struct(self, name: str) -> type[msgspec.Struct]:
        try:
            hints = typing.get_type_hints(self._function, include_extras=True)
        except Exception as error:
            raise ToolConfigError(f"{self._where}: its type hints cannot be read: {error}") from error
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for parameter in inspect.signature(self._function).parameters.values():
            if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
                raise ToolConfigError(
                    f"{self._where}: every parameter must be a named one, and {parameter} is not"
                )
            hint = hints.get(parameter.name)
            if hint is None:
                raise ToolConfigError(f"{self._where}: parameter {parameter.name} needs a type hint")
            if _is_client(hint):
                self._client_parameter = parameter.name
            elif parameter.default is parameter.empty:
                fields.append((parameter.name, hint))
            else:
                default = _default(parameter.default)
                fields.append((parameter.name, hint, default))
        try:
            return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        except (TypeError, ValueError) as error:
            raise ToolConfigError(f"{self._where}: {_first_line(error)}") from error

    def _schema(self) -> dict[str, Any]:
        try:
            (own,), components = msgspec.json.schema_components(
                [self._arguments], ref_template="#/$defs/{name}"
            )
        except (TypeError, ValueError) as error:
            raise ToolConfigError(
                f"{self._where}: a hint has no JSON Schema: {_first_line(error)}"
            ) from error
        # Not always `name`: a hint may be a struct of the same name.
        schema: dict[str, Any] = components.pop(own["$ref"].rpartition("/")[2])
        del schema["title"]
        return {**schema, "$defs": components} if components else schema

    def _injected_client(self, http: "Callable[[], httpx.AsyncClient] | None") -> "InjectedClient":
        from agents.tools.client import InjectedClient  # noqa: PLC0415 - httpx is 9 MB and 0.2 s

        if http is None:
            raise ToolConfigError(f"{self._where}: asks for an HTTP client, and there is none here")
        return InjectedClient(http)


def _is_client(hint: Any) -> bool:
    # Compared by name, so that httpx is imported only with tools that use it.
    return getattr(hint, "__module__", "").partition(".")[0] == "httpx" and hint.__qualname__ == "AsyncClient"


def python_tools(*, http: "Callable[[], httpx.AsyncClient]", default_timeout_s: float) -> list[PythonTool]:
    """Return the functions that installed packages offer as tools.

    Raises:
        ToolConfigError: one of them cannot be loaded, or is no tool.
    """
    try:
        functions = load_entry_points(TOOLS_GROUP)
    except LoadingError as error:
        raise ToolConfigError(str(error)) from error
    return [
        PythonTool(function, name=name, http=http, default_timeout_s=default_timeout_s)
        for name, function in functions.items()
    ]


def _default(value: Any) -> Any:
    if isinstance(value, list | dict | set | bytearray):
        # Each call gets its own copy, so that a function cannot pass data to the next question in it.
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return value


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())
