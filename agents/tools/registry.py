"""Tools by name, and the tenants that may call them.

A registry never changes: no question can add to it, take from it or see another tenant's part of it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from agents.components import ToolSpec
from agents.tools.tool import Tool, ToolConfigError
from schemas.question import Question

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Names of functions that model servers accept."""

_PROBLEM_MAX = 200
"""Characters of a problem with arguments; a validator quotes the whole wrong value."""


@dataclass(frozen=True, slots=True)
class RegisteredTool:
    """A tool with the compiled schema of its arguments."""

    tool: Tool
    validator: jsonschema_rs.Validator

    def problem(self, arguments: dict[str, Any]) -> str:
        """Return the problem with the arguments in one short line; empty: none."""
        try:
            self.validator.validate(arguments)
        except jsonschema_rs.ValidationError as error:
            path = ".".join(str(part) for part in error.instance_path)
            text = f"{path}: {error.message}" if path else error.message
        except ValueError as error:  # nested too deeply, or numbers that JSON cannot hold
            text = str(error)
        else:
            return ""
        text = " ".join(text.split())
        return text if len(text) <= _PROBLEM_MAX else text[: _PROBLEM_MAX - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Offer:
    specs: tuple[ToolSpec, ...]
    tools: Mapping[str, RegisteredTool]


class ToolRegistry:
    """The tools of a worker.

    Raises:
        ToolConfigError: a name is used twice or not allowed, or a schema of arguments is no JSON Schema.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, RegisteredTool] = {}
        for tool in tools:
            name = tool.spec.name
            if not NAME.fullmatch(name):
                raise ToolConfigError(
                    f"[tools.{name}]: a tool's name has 1 to 64 of the characters a-z A-Z 0-9 _ -"
                )
            if name in self._tools:
                raise ToolConfigError(f"[tools.{name}]: two tools have this name")
            if tool.spec.cacheable and not tool.spec.idempotent:
                raise ToolConfigError(
                    f"[tools.{name}] cacheable: only an idempotent tool can be cacheable, because a cached "
                    "answer calls nothing"
                )
            self._tools[name] = RegisteredTool(tool, _compiled(tool.spec))
        # Only tenants that some tool names get an offer of their own: senders may write any tenant, and
        # questions must not grow a table here.
        tenants = {tenant for entry in self._tools.values() for tenant in entry.tool.tenants or ()}
        self._offers = {tenant: self._offer(tenant) for tenant in tenants}
        self._open_offer = self._offer(None)

    def __repr__(self) -> str:
        return f"<ToolRegistry {' '.join(self._tools) or 'empty'}>"

    def _offer(self, tenant: str | None) -> _Offer:
        tools = {
            name: entry
            for name, entry in self._tools.items()
            if entry.tool.tenants is None or tenant in entry.tool.tenants
        }
        return _Offer(tuple(entry.tool.spec for entry in tools.values()), tools)

    def offered(self, question: Question) -> tuple[ToolSpec, ...]:
        """Return the tools of the question's tenant, without those that its `tools` leaves out."""
        specs = self._offers.get(question.tenant, self._open_offer).specs
        if question.tools is None:
            return specs
        # A question's list may be as long as a message: it is read once, not for each tool.
        allowed = frozenset(question.tools)
        return tuple(spec for spec in specs if spec.name in allowed)

    def find(self, name: str, question: Question) -> RegisteredTool | None:
        """Return the tool of that name, if it is offered to this question."""
        tool = self._offers.get(question.tenant, self._open_offer).tools.get(name)
        # In this order, so that a name that a model made up is not searched for in a long list.
        return tool if tool is None or question.tools is None or name in question.tools else None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All tools, of all tenants."""
        return tuple(entry.tool for entry in self._tools.values())

    async def aclose(self) -> None:
        """Close every tool."""
        for entry in self._tools.values():
            await entry.tool.aclose()


def _compiled(spec: ToolSpec) -> jsonschema_rs.Validator:
    where = f"[tools.{spec.name}] parameters"
    if spec.parameters.get("type") != "object":
        raise ToolConfigError(f'{where}: must be a JSON Schema with type = "object"')
    try:
        return jsonschema_rs.validator_for(spec.parameters, retriever=_refuse)
    except (ValueError, TypeError) as error:
        problem = getattr(error, "message", None) or str(error).partition("\n")[0]
        raise ToolConfigError(f"{where}: not a JSON Schema: {problem}") from error


def _refuse(uri: str) -> Any:
    # The library would fetch any address in a schema over the network, and block.
    raise ValueError(f"references to other documents are not fetched ({uri})")
