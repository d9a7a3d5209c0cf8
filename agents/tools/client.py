"""The HTTP client that Python tools may ask for. It is imported with the first tool that does."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import httpx

from agents.errors import PermanentError, TimedOutError, TransientError, error_of_status
from agents.http.client import RefusedError
from agents.http.status import retry_after_s

_headers: ContextVar[Mapping[str, str]] = ContextVar("kotae_tool_headers")


class InjectedClient:
    """Calls functions with a client whose requests carry the headers of the tool call."""

    def __init__(self, http: Callable[[], httpx.AsyncClient]) -> None:
        self._http = http
        self._client: httpx.AsyncClient | None = None

    async def acall(
        self,
        dependency: str,
        function: Callable[[httpx.AsyncClient], Awaitable[Any]],
        headers: Mapping[str, str],
    ) -> Any:
        """Return the function's result; httpx's errors become those of `agents.errors`.

        The text of httpx's errors is dropped: it holds the address, and addresses can hold keys.
        """
        token = _headers.set(headers)
        try:
            return await function(self._opened())
        except RefusedError as error:
            raise PermanentError(dependency, str(error)) from error
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise TimedOutError(dependency, "its server did not answer in time") from error
        except httpx.TransportError as error:
            raise TransientError(dependency, "the connection to its server failed") from error
        except httpx.HTTPStatusError as error:
            response = error.response
            status = response.status_code
            wait_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
            raise error_of_status(dependency, f"HTTP {status}", status, wait_s) from error
        finally:
            _headers.reset(token)

    def _opened(self) -> httpx.AsyncClient:
        # Made for the first call, because a client belongs to the loop that runs then.
        if self._client is None:
            self._client = self._http()
            hooks = self._client.event_hooks["request"]
            if _label not in hooks:
                hooks.append(_label)
        return self._client


async def _label(request: httpx.Request) -> None:
    for name, value in _headers.get({}).items():
        request.headers.setdefault(name, value)
