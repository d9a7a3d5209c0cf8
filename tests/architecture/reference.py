"""Writes REFERENCE.md from the code: `make reference`; a test compares the two."""

import ast
import inspect
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import msgspec

import schemas.answer
import schemas.event
import streams.settings.model
from agents.tools import table
from schemas.errors import DegradeReason, Disposition, ErrorCode, WarningCode
from schemas.event import AnswerDelta
from streams.settings.model import Settings
from streams.telemetry.catalogue import CATALOGUE
from tests.architecture.state_fields import STATE_FIELDS

FILE = Path(__file__).parents[2] / "REFERENCE.md"
HEAD = """# Reference

Made from the code by `make reference`: every setting, every key of a tool, every code in a message, the
deltas' protocol, every field of `/state`, every metric.
"""


def render() -> str:
    """The whole file."""
    return "\n".join([HEAD, *_settings(), *_tools(), *_codes(), *_deltas(), *_state(), *_metrics()])


def _settings() -> list[str]:
    lines = [
        "## Settings",
        "",
        "Each is an environment variable, `KOTAE_SECTION__FIELD`, or, in lower case, a field of a table",
        "`[section]` in the TOML file; the environment counts before the file. A list is comma-separated",
        "in the environment. Names ending in `_S` are seconds, in `_BYTES` bytes.",
        "",
    ]
    module = ast.parse(Path(streams.settings.model.__file__).read_text("utf-8"))
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    for section in msgspec.structs.fields(Settings):
        if section.name == "tools":
            continue
        node = classes[section.type.__name__]
        lines += [f"### {section.name}", "", _flowing(ast.get_docstring(node) or ""), ""]
        lines += ["| setting | default | |", "|---|---|---|"]
        defaults = {option.name: option.default for option in msgspec.structs.fields(section.type)}
        for statement, after in pairwise(node.body):
            if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
                name = ast.unparse(statement.target)
                variable = f"KOTAE_{section.name}__{name}".upper()
                text = _flowing(ast.literal_eval(after.value))
                lines.append(f"| `{variable}` | {_shown(defaults[name])} | {text}{_choices(statement)} |")
        lines.append("")
    return lines


def _tools() -> list[str]:
    lines = [
        "## Keys of `[tools.NAME]`",
        "",
        "An HTTP tool has `url` and `description`, a Python one `python`. Defaults: `method` POST,",
        "`idempotent` true for GET, `timeout_s` that of `LIMITS.TOOL_S`, `concurrency` 100, `cacheable`",
        "false, `tenants` all. What a Python tool's `@tool` says counts where the table says nothing.",
        "",
        "| key | HTTP | Python | allowed |",
        "|---|---|---|---|",
    ]
    http, python = table._Declared.__struct_fields__, table._DeclaredPython.__struct_fields__
    for key, allowed in table._ALLOWED.items():
        marks = " | ".join("yes" if key in keys else "" for keys in (http, python))
        lines.append(f"| `{key}` | {marks} | {allowed} |")
    return [*lines, ""]


def _codes() -> list[str]:
    statuses = [
        ("Answer statuses", "`status` of an answer.", schemas.answer, "AnswerStatus"),
        (
            "Tool-call statuses",
            "`status` of an answer's `tool_calls`.",
            schemas.answer,
            "ToolCallStatus",
        ),
        ("Stage statuses", "`status` of each of a trace's `stages`.", schemas.event, "StageStatus"),
    ]
    codes = [
        ("Degrade reasons", "`degraded` of an answer:", DegradeReason),
        ("Warnings", "The code before the colon of each of an answer's `warnings`:", WarningCode),
        ("Error codes", "`error.code` of an answer:", ErrorCode),
        ("Dead letters' dispositions", "`qa.dlq.disposition` of a dead letter:", Disposition),
    ]
    lines = ["## Codes in messages", ""]
    for title, place, module, name in statuses:
        lines += _table(title, place, literal_meanings(module, name))
    for title, place, enumeration in codes:
        doc = _flowing(inspect.getdoc(enumeration) or "")
        text = f"{place} {doc[0].lower()}{doc[1:]}"
        lines += _table(title, text, enum_meanings(enumeration))
    return lines


def _table(title: str, text: str, meanings: Mapping[str, str]) -> list[str]:
    rows = [f"| `{code}` | {_flowing(meaning)} |" for code, meaning in meanings.items()]
    return [f"### {title}", "", text, "", "| code | |", "|---|---|", *rows, ""]


def enum_meanings(enumeration: type[StrEnum]) -> dict[str, str]:
    """The docstring under each member, by value. KeyError where a member has none."""
    [node] = ast.parse(inspect.getsource(enumeration)).body
    assert isinstance(node, ast.ClassDef)
    docs = _attribute_docs(node.body)
    return {str(member): docs[member.name] for member in enumeration}


def literal_meanings(module: ModuleType, name: str) -> dict[str, str]:
    """The line of the docstring under a Literal for each of its values. KeyError where one has none."""
    doc = _attribute_docs(ast.parse(inspect.getsource(module)).body)[name]
    lines = dict(re.findall(r"^\* `(\w+)`: (.+)$", doc, re.MULTILINE))
    values = get_args(getattr(module, name))
    assert set(lines) == set(values), name
    return {value: lines[value][0].upper() + lines[value][1:] for value in values}


def _attribute_docs(body: list[ast.stmt]) -> dict[str, str]:
    return {
        ast.unparse(one.targets[0]): ast.literal_eval(after.value)
        for one, after in pairwise(body)
        if isinstance(one, ast.Assign) and isinstance(after, ast.Expr)
    }


def _deltas() -> list[str]:
    fields = ", ".join(f"`{name}`" for name in AnswerDelta.__struct_fields__)
    text = _flowing(inspect.getdoc(AnswerDelta) or "")
    return ["## Deltas", "", f"Records of `answers.deltas`, with {fields}.", "", text, ""]


def _state() -> list[str]:
    lines = [
        "## Fields of `/state`",
        "",
        "A `*` stands for the number of a partition or the name of a dependency.",
        "",
        "| field | |",
        "|---|---|",
    ]
    return [*lines, *(f"| `{field[1:]}` | {text} |" for field, text in STATE_FIELDS.items()), ""]


def _metrics() -> list[str]:
    lines = ["## Metrics", "", "| metric | kind | labels | |", "|---|---|---|---|"]
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return [*lines, ""]


def _flowing(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _shown(default: Any) -> str:
    return "" if default in ("", (), msgspec.NODEFAULT) else f"`{json.dumps(default)}`"


def _choices(statement: ast.AnnAssign) -> str:
    kind = statement.annotation
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Literal":
        return f" One of {', '.join(f'`{ast.literal_eval(each)}`' for each in kind.slice.elts)}."
    return ""


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
