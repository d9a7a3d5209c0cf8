"""JSON as other programs write it, made into JSON that our decoders take.

A decoder comes here only with a value that it could not take as it is, so this costs a usual message nothing.
"""

import codecs
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct, inspect

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# Every escape is taken whole, so that the second backslash of `\\ud83d` does not begin one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",
    re.DOTALL,
)
_REGISTRY = "write plain JSON, without the serializer of a schema registry"
_UTF_16 = "it is UTF-16: write the value in UTF-8"


def plain_json(value: bytes) -> bytes:
    """Return a value without byte order mark, and with U+FFFD for each half of a surrogate pair."""
    value = value.removeprefix(codecs.BOM_UTF8)
    return _ESCAPE.sub(_whole, value) if _SURROGATE.search(value) else value


def foreign_frame(value: bytes) -> tuple[str, bytes] | None:
    """Recognise a value that is not JSON in UTF-8, but wraps it or is in another encoding.

    Returns:
        For its producer, the name of it and what to do; and the part that may be JSON. None: it is unknown.
    """
    if value.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0", b"\0{\0")):
        return _UTF_16, value
    if value[:1] == b"\0" and len(value) > 5:
        # Confluent's registry counts schemas in 4 bytes, Apicurio's may do so in 8.
        size = 9 if value[5:6] != b"{" and value[9:10] == b"{" else 5
        number = int.from_bytes(value[1:size], "big")
        return (
            f"it begins with a schema registry's magic byte (0x00) and the schema id {number}: {_REGISTRY}",
            value[size:],
        )
    if value[:2] in {b"\x03\0", b"\x03\x05"} and len(value) > 18:
        return f"it begins with the header of AWS Glue's schema registry (0x03): {_REGISTRY}", value[18:]
    return None


def without_nulls(value: Any, message: type[Struct]) -> Any:
    """Return a message's JSON values without the nulls of optional fields, which stand for their absence.

    A null stays where it is a value: in a field that may be null, and in open ones such as `metadata`.
    """
    return _without_nulls(value, _type_of(message))


@cache
def _type_of(message: type[Struct]) -> inspect.Type:
    return inspect.type_info(message)


def _without_nulls(value: Any, kind: inspect.Type) -> Any:
    if isinstance(kind, inspect.Metadata):
        return _without_nulls(value, kind.type)
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            value = _without_nulls(value, each)
    elif isinstance(kind, inspect.StructType) and isinstance(value, Mapping):
        fields = {field.encode_name: field for field in kind.fields}
        return {
            name: _without_nulls(inner, fields[name].type) if name in fields else inner
            for name, inner in value.items()
            if inner is not None
            or name not in fields
            or fields[name].required
            or _takes_null(fields[name].type)
        }
    elif isinstance(kind, inspect.CollectionType) and isinstance(value, list):
        return [_without_nulls(inner, kind.item_type) for inner in value]
    return value


def _takes_null(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _takes_null(kind.type)
    if isinstance(kind, inspect.UnionType):
        return any(map(_takes_null, kind.types))
    return isinstance(kind, inspect.NoneType | inspect.AnyType)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]
