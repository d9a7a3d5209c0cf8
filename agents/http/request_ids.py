"""The `X-Request-Id` of the requests to one server: some servers take UUIDs alone."""

import logging
import re
from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

from agents.http.pool import HttpResponse

log = logging.getLogger(__name__)

HEADER = "X-Request-Id"
UUIDS_TAKEN = 3
"""Requests with a UUID that a server took, and none with another id, before all get one."""
_REFUSING = {400, 422}
_NAMES_IT = re.compile(rb"x[-_ ]?request[-_ ]?id", re.IGNORECASE)
_READ = 10_000


class RequestIds:
    """Knows which ids a server takes: ours, as `<question id>/<stage>/<attempt>`, or UUIDs alone.

    Args:
        server: its name in the warning.

    Attributes:
        uuids: whether every request gets a UUID.
    """

    def __init__(self, server: str) -> None:
        self.uuids = False
        self._server = server
        self._took_own = False
        self._took_uuids = 0

    def labelled(self, headers: Mapping[str, str], *, uuids: bool) -> dict[str, str]:
        """Return the headers of a request; its id, if they have one, is made a UUID if `uuids` is set.

        The same id makes the same UUID.
        """
        labelled = dict(headers)
        if uuids and (own := labelled.get(HEADER)) is not None:
            labelled[HEADER] = str(UUID(bytes=sha256(own.encode()).digest()[:16], version=4))
        return labelled

    def is_named(self, response: HttpResponse, *, uuids: bool) -> bool:
        """Whether the response refuses the id by name, so that a UUID may be taken; it is remembered."""
        if uuids or response.status not in _REFUSING or not _NAMES_IT.search(response.body[:_READ]):
            return False
        self._want_uuids()
        return True

    def is_refused(self, response: HttpResponse, *, uuids: bool) -> bool:
        """Whether to repeat a request with a UUID: its id is refused by name, or without a reason.

        starlette-context, and with it llama-cpp-python's server, gives none: 400 and no body. A server that
        took another id refuses for a reason of its own.
        """
        if response.status // 100 == 2:
            self.took(uuids=uuids)
        if self.is_named(response, uuids=uuids):
            return True
        return not (uuids or self._took_own or response.status != 400 or response.body)

    def took(self, *, uuids: bool) -> None:
        """Note that the server took a request; after several with UUIDs alone, it gets no other ids."""
        if not uuids:
            self._took_own = True
            return
        self._took_uuids += 1
        if self._took_uuids == UUIDS_TAKEN and not self._took_own:
            self._want_uuids()

    def _want_uuids(self) -> None:
        if not self.uuids:
            self.uuids = True
            log.warning(
                "%s takes requests only if their %s is a UUID: from now on it gets one", self._server, HEADER
            )
