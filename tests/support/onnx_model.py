"""A tiny embedding model as an ONNX file and a tokenizer.json, written byte by byte.

It looks each token up in a table: 1 in the token's own dimension, and nothing else.
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

WORDS = ("[PAD]", "[UNK]", "query:", "passage:", "lamp", "dusk", "bread", "oven")

_FLOAT, _INT64 = 1, 7


def write_model(directory: Path, *, output: str = "tokens", inputs: Sequence[str] = ("input_ids",)) -> Path:
    """Write a model into `directory`; it gives an output of token vectors, and wants the named inputs."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(_model(output, inputs))
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(WORDS)},
            "unk_token": "[UNK]",
        },
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return directory


def _model(output: str, inputs: Sequence[str]) -> bytes:
    size = len(WORDS)
    rows = [[float(row == column) for column in range(size)] for row in range(size)]
    table = (
        b"".join(_number(1, size) for _ in range(2))
        + _number(2, _FLOAT)
        + _bytes(8, b"table")
        + _bytes(9, struct.pack(f"<{size * size}f", *(value for row in rows for value in row)))
    )
    gather = (
        _bytes(1, b"table")
        + _bytes(1, inputs[0].encode())
        + _bytes(2, output.encode())
        + _bytes(4, b"Gather")
    )
    graph = (
        _bytes(1, gather)
        + _bytes(2, b"lookup")
        + _bytes(5, table)
        + b"".join(_bytes(11, _value(name, _INT64, ("texts", "tokens"))) for name in inputs)
        + _bytes(12, _value(output, _FLOAT, ("texts", "tokens", size)))
    )
    return _number(1, 8) + _bytes(8, _number(2, 13)) + _bytes(7, graph)


def _value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _number(1, each) if isinstance(each, int) else _bytes(2, each.encode())) for each in shape
    )
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dimensions)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
