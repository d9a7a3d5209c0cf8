"""What every tool is to the registry and the executor, whatever it calls."""

from typing import Any, Protocol, runtime_checkable

from agents.components import ToolSpec
from agents.errors import PermanentError

RESULT_BYTES_MAX = 1024 * 1024
"""Longest response that is read from a tool's server; far more than a model can be shown of it."""


class ToolConfigError(ValueError):
    """A tool is declared wrongly: one line that names it, what is wrong and what is allowed."""


class RejectedCallError(PermanentError):
    """The call is not allowed, or its arguments do not fit; nothing was called."""

    reason = "rejected"


class DidNotRunError(PermanentError):
    """The tool's server knows of no such call: it may be started."""

    reason = "did_not_run"


class Tool(Protocol):
    """Something that can be called by name.

    Attributes:
        spec: what planners are told of it.
        tenants: who may call it; None: everybody.
        reconcile_url: where it can be asked whether a call ran; empty: nowhere.
    """

    spec: ToolSpec
    tenants: frozenset[str] | None
    reconcile_url: str

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        """Do it once; the result is text, or what JSON can hold.

        `headers` go with every request that this causes; the dict is the callee's to add to.
        Runs until it is cancelled: time-outs are the executor's.

        Raises:
            DependencyError: it failed; the message may be shown to whoever asked.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Reconcilable(Protocol):
    """A tool whose `reconcile_url` can be asked."""

    async def areconcile(self, headers: dict[str, str]) -> Any:
        """The result of the call that had the `Idempotency-Key` in `headers`.

        Raises:
            DidNotRunError: there was no such call.
            DependencyError: it cannot be told whether there was one.
        """
        ...
