"""Reads tool calls in the forms in which models and servers write them. Pure.

A call is taken where its meaning is certain. Else it is kept with its problem, so that the executor rejects
it and the answer tells of it: no call that was written may vanish silently.
"""

import ast
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from agents.components import CALL_ID_MAX, PlannedCall
from agents.json_values import SHALLOW, mended, mended_values, nests_too_deeply, unrounded

UNREADABLE = "is written as text that cannot be read as a call"

_FENCE = re.compile(r"\s*```[\w-]*\s*\n?(.*?)\s*```\s*\Z", re.DOTALL)
# Tokens of chat templates that a server forgot to take off: <|im_end|>, </s>, </tool_call>, [/TOOL_CALLS].
_TRAILING = re.compile(r"(?:\s*(?:<[|｜/][^<>]{0,40}>|\[/?(?:TOOL_CALLS|ARGS|TOOL_RESULTS)\]|```))+\s*\Z")
_BLOCK = re.compile(
    r"<\|?(?P<tag>tool_calls?|toolcall|function_calls?)\|?>(?P<body>.*?)"
    r"(?:</(?P=tag)>|<\|/?(?P=tag)\|>|<\|?(?:tool_call|function_call)\|?>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_NAMED = re.compile(r"<function=(?P<name>[\w.:-]+)>(?P<body>.*?)(?:</function>|\Z)", re.DOTALL)
_REST = re.compile(r"(?:\[TOOL_CALLS\]|<\|python_tag\|>|\bfunctools(?=\[))\s*(?P<body>.*)\Z", re.DOTALL)
_MISTRAL = re.compile(r"(?P<name>[\w.:-]+)\s*(?:\[CALL_ID\]\S*?)?(?:\[ARGS\])?\s*(?P<body>\{.*)\Z", re.DOTALL)
_SIGN = re.compile(
    r"<\|?(?:tool_calls?|toolcall|function_calls?)\b|<function=|<invoke\b|\[TOOL_CALLS\]|<\|python_tag\|>"
    r"|<｜tool|<\|tool|<\|START_ACTION\|>|^\s*Action Input:",
    re.IGNORECASE | re.MULTILINE,
)
_OBJECT = re.compile(
    r"\{\s*\"(?:name|function|tool|tool_name|function_name|action|arguments|parameters|tool_input)\"\s*:"
)
_PYTHONIC = re.compile(r"\[?\s*[A-Za-z_][\w.]*\(.*\)\s*,?\s*\]?", re.DOTALL)
_PYTHONIC_MAX = 10_000
_NAMES = ("name", "tool_name", "function_name", "tool", "action")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "action_input")
_PREFIX = re.compile(r"(?:functions?|tools?|default_api|call)(?:[.:/]|::)")


def planned_calls(written: Sequence[Any], offered: Collection[str] = ()) -> tuple[PlannedCall, ...]:
    """Return the tool calls that a model wrote, each with an id that no other has.

    An id made of the position replaces one that is missing, unfit or repeated, so that the same plan
    always has the same ids.
    """
    calls: list[PlannedCall] = []
    taken: set[str] = set()
    for position, entry in enumerate(written, 1):
        identifier = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(identifier, str) and not identifier.isascii():
            identifier = mended(identifier)
        if not isinstance(identifier, str) or not 0 < len(identifier) <= CALL_ID_MAX or identifier in taken:
            identifier = f"call_{position}"
            while identifier in taken:
                identifier += "_"
        taken.add(identifier)
        calls.append(PlannedCall(identifier, *_read_call(entry, offered)))
    return tuple(calls)


def entries_of(message: Mapping[str, Any]) -> list[Any]:
    """Return the calls in a message's own fields, in the current form or the older one."""
    wanted = message.get("tool_calls")
    if isinstance(wanted, str):
        wanted = _loaded(wanted)
    if isinstance(wanted, dict) and wanted:
        wanted = [wanted]
    if isinstance(wanted, list) and wanted:
        return wanted
    older = message.get("function_call")
    return [older] if isinstance(older, dict) and older else []


def entries_in(text: str) -> list[Any]:
    """Return the calls that a model wrote as text in place of a plan; none if it wrote none."""
    if "{" not in text and "<" not in text and "[" not in text and "(" not in text:
        return []
    if pythonic := _pythonic(text):
        return pythonic
    found: list[Any] = []
    for pattern in (_BLOCK, _NAMED, _REST):
        for match in pattern.finditer(text):
            found += _entries(match.groupdict().get("name") or "", match["body"])
        if found:
            return found
    if _SIGN.search(text):
        return [{"problem": UNREADABLE}]
    whole = _loaded(text)
    values = whole if isinstance(whole, list) else [whole]
    if whole and all(map(_is_call, values)):
        return values
    # Among other words it may be an example, or a wish that the model dropped.
    return [{"problem": UNREADABLE}] if _OBJECT.search(text) and _holds_call(text) else []


def _pythonic(text: str) -> list[Any]:
    """Return the calls in a text that is nothing else, as `[level(tank="A")]`."""
    fence = _FENCE.match(text)
    text = fence[1] if fence else _TRAILING.sub("", text).strip()
    if len(text) > _PYTHONIC_MAX or not _PYTHONIC.fullmatch(text):
        return []
    try:
        tree = ast.parse(text, mode="eval").body
        written = tree.elts if isinstance(tree, ast.List) else [tree]
        return [
            {"name": ast.unparse(one.func), "arguments": _keywords(one)}
            for one in written
            if isinstance(one, ast.Call)
        ]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return []  # words with brackets


def _keywords(call: ast.Call) -> dict[str, Any] | str:
    """Return the arguments of a call by name; those without one cannot be read, and are a text."""
    if call.args or any(one.arg is None for one in call.keywords):
        return ast.unparse(call)
    return {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}


def without_calls(text: str) -> str:
    """Return the text of an answer without the calls that the model marked in it."""
    if not _SIGN.search(text):
        return text
    for pattern in (_BLOCK, _NAMED, _REST):
        text = pattern.sub(
            lambda match: "" if "{" in match["body"] or "<" in match["body"] else match[0], text
        )
    return text


def _entries(name: str, body: str) -> list[Any]:
    """Return the calls in one marked block."""
    value = _loaded(body)
    if name:
        return [{"name": name, "arguments": value if isinstance(value, dict) else body}]
    if value is None and (inner := _NAMED.search(body)):
        return _entries(inner["name"], inner["body"])
    if value is None and (inner := _MISTRAL.match(body.strip())):
        return [{"name": inner["name"], "arguments": inner["body"]}]
    if value is None:
        # One object a line, as some models write several calls.
        lines = [_loaded(line) for line in body.splitlines() if line.strip()]
        if lines and all(map(_is_call, lines)):
            return lines
    values = value if isinstance(value, list) else [value]
    return [one if _is_call(one) else {"problem": UNREADABLE} for one in values]


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    function = value.get("function")
    if isinstance(function, dict):
        return isinstance(function.get("name"), str)
    return bool(_name_of(value)) and any(key in value for key in _ARGUMENTS)


def _name_of(function: dict[str, Any]) -> str:
    names = (function.get(key) for key in (*_NAMES, "function"))
    return next((name for name in names if isinstance(name, str) and name.strip()), "")


def _holds_call(text: str) -> bool:
    decoder = json.JSONDecoder()
    for start in _OBJECT.finditer(text):
        try:
            value, _ = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if _is_call(value):
            return True
    return False


def _read_call(entry: Any, offered: Collection[str]) -> tuple[str, dict[str, Any], str]:
    """Return name, arguments and problem of one call."""
    if not isinstance(entry, dict):
        return "", {}, "is not a tool call"
    if problem := entry.get("problem"):
        return "", {}, str(problem)
    function = entry.get("function", entry.get("function_call"))
    if not isinstance(function, dict):
        function = {**entry, "name": function} if isinstance(function, str) else entry
    name = _name_of(function)
    if not name:
        return "", {}, "names no tool"
    key = "arguments"
    if key not in function:
        key = next((other for other in _ARGUMENTS if other in function), key)
    meant = name if name in offered else _offered_name(name, offered)
    return meant, *_arguments(function.get(key))


def _offered_name(name: str, offered: Collection[str]) -> str:
    """Return the offered tool that a name means: servers add a namespace, a number or a template's token."""
    name = mended(name)
    bare = re.split(r"<[|｜]", name)[0].strip(" \t\r\n\"'`").removesuffix("()")
    for begun in (bare, _PREFIX.sub("", bare, count=1)):
        for meant in (begun, re.sub(r":\d+\Z", "", begun)):
            if meant in offered:
                return meant
    return name


def _arguments(written: Any) -> tuple[dict[str, Any], str]:
    if written is None or (isinstance(written, str) and not written.strip()):
        return {}, ""
    value = written
    if isinstance(written, str):
        value = _loaded(written)
        if value is None:
            return {}, f"the arguments are not JSON: {_why(written)}"
    if not isinstance(value, dict):
        return {}, "the arguments are not a JSON object"
    short = isinstance(written, str) and len(written) <= SHALLOW
    if not short and nests_too_deeply(value):
        return {}, "the arguments are nested too deeply"
    return (value, "") if isinstance(written, str) else _strict(value)


def _strict(value: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return arguments that a lenient reader may have read."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return {}, "the arguments hold a number that is not finite"
    return mended_values(value), ""


def _loaded(text: str) -> Any:
    """Return the value of JSON that may be fenced, encoded twice or before a template's token, else None."""
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        value = ""
    if value and not isinstance(value, str):
        return unrounded(value, text.encode())
    for _ in range(3):
        text = mended(text).strip()
        if fence := _FENCE.match(text):
            text = fence[1]
        for form in (text, _TRAILING.sub("", text)):
            try:
                value = unrounded(orjson.loads(form), form.encode())
                break
            except orjson.JSONDecodeError:
                continue
        else:
            return None
        if not isinstance(value, str):
            return value
        text = value
    return None


def _why(text: str) -> str:
    try:
        orjson.loads(mended(text))
    except orjson.JSONDecodeError as error:
        return str(error)
    return "a text in a text"
