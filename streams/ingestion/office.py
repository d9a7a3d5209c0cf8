"""The libraries for office files, which an extra brings."""

from importlib.util import find_spec

from streams.ingestion.parts import UnreadableError


def need(library: str) -> None:
    """Check that a library of the extra `office` is there.

    Raises:
        UnreadableError: it is not.
    """
    if find_spec(library) is None:
        raise UnreadableError("needs the extra 'office': install it with pip install 'kotae[office]'")
