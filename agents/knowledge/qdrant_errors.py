"""Translates the errors of Qdrant's client library, which is loaded by then."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

from agents.errors import PermanentError, ThrottledError, TransientError, error_of_status
from agents.http.client import RefusedError
from agents.http.status import retry_after_s
from agents.knowledge.index import DEPENDENCY


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate the client's errors into `DependencyError`."""
    from qdrant_client.common.client_exceptions import (  # noqa: PLC0415 - loaded by now
        QdrantException,
        ResourceExhaustedResponse,
    )
    from qdrant_client.http.exceptions import (  # noqa: PLC0415 - loaded by now
        ResponseHandlingException,
        UnexpectedResponse,
    )

    try:
        yield
    except ResourceExhaustedResponse as error:
        raise ThrottledError(DEPENDENCY, str(error), retry_after_s=error.retry_after_s) from error
    except QdrantException as error:  # 429 with a date in place of seconds
        raise ThrottledError(DEPENDENCY, str(error)) from error
    except UnexpectedResponse as error:
        status = error.status_code or 0
        message = f"HTTP {status}: {error.content[:200].decode(errors='replace')}"
        wait_s = retry_after_s(error.headers.get("Retry-After"), datetime.now(UTC))
        raise error_of_status(DEPENDENCY, message, status, wait_s) from error
    except ResponseHandlingException as error:
        if isinstance(error.source, RefusedError):
            raise PermanentError(DEPENDENCY, str(error.source)) from error
        raise TransientError(DEPENDENCY, f"no usable answer: {error.source!r}") from error
