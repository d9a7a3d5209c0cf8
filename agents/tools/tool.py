"""The interface of all tools, for the registry and the executor."""

from typing import Any, Protocol, runtime_checkable

from agents.components import ToolSpec
from agents.errors import PermanentError

RESULT_BYTES_MAX = 1024 * 1024
"""Longest response that is read from a tool's server; a model is shown far less of it."""


class ToolConfigError(ValueError):
    """A tool is declared wrongly. The message is one line: tool, problem and allowed values."""


class RejectedCallError(PermanentError):
    """The call is not allowed, or its arguments do not fit. Nothing was called."""

    reason = "rejected"
    of_server = False


class ToldError(PermanentError):
    """The tool ran, and its function has something to tell the asker in place of a result."""

    of_server = False


class DidNotRunError(PermanentError):
    """The tool's server knows no such call, so that it may be started."""

    reason = "did_not_run"
    of_server = False


class Tool(Protocol):
    """A function that can be called by name.

    Attributes:
        spec: its description for planners, and the limits of its calls.
        tenants: the tenants that may call it; None: all.
        reconcile_url: the address that tells whether a call ran; empty: none.
    """

    spec: ToolSpec
    tenants: frozenset[str] | None
    reconcile_url: str

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        """Run the tool once, and return text or another value that JSON can hold.

        The tool sends `headers` with every request, and may add to the dict. It runs until it is cancelled:
        the executor keeps the time.

        Raises:
            DependencyError: it failed. The asker may see the message.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@runtime_checkable
class Reconcilable(Protocol):
    """A tool whose `reconcile_url` can be asked."""

    async def areconcile(self, headers: dict[str, str]) -> Any:
        """Return the result of the call that had the `Idempotency-Key` in `headers`.

        Raises:
            DidNotRunError: there was no such call.
            DependencyError: it is unknown whether there was one.
        """
        ...
