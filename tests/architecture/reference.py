"""Writes REFERENCE.md from the code: `make reference`; a test compares the two."""

import ast
import json
from pathlib import Path
from typing import Any

import msgspec

import streams.settings.model
from agents.tools import table
from streams.settings.model import Settings
from streams.telemetry.catalogue import CATALOGUE

FILE = Path(__file__).parents[2] / "REFERENCE.md"
HEAD = """# Reference

Made from the code by `make reference`: every setting, every key of a tool, every metric.
"""


def render() -> str:
    """The whole file."""
    return "\n".join([HEAD, *_settings(), *_tools(), *_metrics()])


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
        for statement, after in zip(node.body, node.body[1:], strict=False):
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


def _metrics() -> list[str]:
    lines = ["## Metrics", "", "| metric | kind | labels | |", "|---|---|---|---|"]
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return [*lines, ""]


def _flowing(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _shown(default: Any) -> str:
    return "" if default in ("", ()) else f"`{json.dumps(default)}`"


def _choices(statement: ast.AnnAssign) -> str:
    kind = statement.annotation
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Literal":
        return f" One of {', '.join(f'`{ast.literal_eval(each)}`' for each in kind.slice.elts)}."
    return ""


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
