"""Plans tool calls by matching the question with the tools that are offered. Pure.

A tool is called if the question holds a value for every required argument, and either an expression that
only this tool can compute, or enough significant words of the tool's description. A tool that changes
something is called only if the question asks for that. A question may lead to several calls, even of one
tool.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from agents.language.keys import term_key, term_keys, term_weight
from agents.language.terms import terms
from agents.models.asking import read_question
from streams.local.actions import asks_for, changes_of
from streams.local.filling import Certainty, Value, find_values
from streams.local.spotting import FUNCTION_WORDS

CALLS_A_TOOL = 4
SHARED_ENOUGH = 2.5
"""The weight of shared words that is enough for a call; one word of four letters has it."""
SHARE_ENOUGH = 0.5
"""The share of the question that must be the tool's words if the question holds no value for it."""

_WEAK = frozenset({"多少", "什么", "哪个", "一个", "可以", "查询", "某个", "请问", "怎么"})


@dataclass(frozen=True, slots=True)
class MatchedCall:
    """A call to make: the tool's name, and arguments that fit its schema."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    properties: dict[str, dict[str, Any]]
    required: frozenset[str]
    keys: frozenset[str]
    changes: frozenset[int]
    """The kinds of change that it makes; none if it only reads."""


def match_tools(question: str, offers: Sequence[dict[str, Any]]) -> list[MatchedCall]:
    """Return the calls that the question asks for; `offers` is a chat completion request's `tools`."""
    tools = [tool for tool in map(_read_offer, offers) if tool is not None]
    return [call for tool in tools for call in _match(question, tool)]


def _match(question: str, tool: _Tool) -> list[MatchedCall]:
    if tool.changes and not asks_for(question, tool.changes):
        return []
    found = {name: find_values(name, schema, question, tool.keys) for name, schema in tool.properties.items()}
    if any(not found[name] and "default" not in tool.properties[name] for name in tool.required):
        return []
    certainty = max((value.certainty for values in found.values() for value in values), default=None)
    shared = _shared(question, tool.keys)
    named = tool.name.casefold() in question.casefold()
    if certainty is Certainty.EVIDENT or named:
        wanted = True
    elif certainty is Certainty.FITTING:
        wanted = shared >= SHARED_ENOUGH
    else:
        wanted = shared >= SHARED_ENOUGH and shared >= SHARE_ENOUGH * _telling(question)
    return [MatchedCall(tool.name, arguments) for arguments in _combined(found, tool)] if wanted else []


def _combined(found: dict[str, list[Value]], tool: _Tool) -> list[dict[str, Any]]:
    filled = {name: values for name, values in found.items() if values}
    numeric = [name for name in filled if tool.properties[name].get("type") in {"integer", "number"}]
    for position, name in enumerate(numeric):
        # Each numeric parameter takes one number, in order.
        filled[name] = filled[name][position : position + 1]
    filled = {name: values for name, values in filled.items() if values}
    if len(filled) > 1:
        filled = {name: values[:1] for name, values in filled.items()}
    for name in tool.required - filled.keys():
        if "default" not in tool.properties[name]:
            return []
    combinations = islice(product(*filled.values()), CALLS_A_TOOL)
    return [dict(zip(filled, (value.value for value in values), strict=True)) for values in combinations]


def _shared(question: str, keys: Set[str]) -> float:
    return sum(weight for key, weight in _telling_terms(question).items() if key in keys)


def _telling(question: str) -> float:
    asked = read_question(question).weights
    return sum(weight for key, weight in _telling_terms(question).items() if key in asked)


def _telling_terms(question: str) -> dict[str, float]:
    return {
        term_key(term): term_weight(term)
        for term in terms(question)
        if term not in FUNCTION_WORDS and term not in _WEAK
    }


def _read_offer(offer: dict[str, Any]) -> _Tool | None:
    function = offer.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    parameters = function.get("parameters")
    schema = parameters if isinstance(parameters, dict) else {}
    listed = schema.get("properties")
    properties = {
        name: about
        for name, about in (listed if isinstance(listed, dict) else {}).items()
        if isinstance(about, dict)
    }
    required = schema.get("required")
    words = [function["name"].replace("_", " "), str(function.get("description", ""))]
    for name, about in properties.items():
        words += [name.replace("_", " "), str(about.get("description", ""))]
    return _Tool(
        name=function["name"],
        changes=changes_of(function["name"], str(function.get("description", ""))),
        properties=properties,
        required=frozenset(required if isinstance(required, list) else ()) & properties.keys(),
        keys=frozenset(term_keys("\n".join(words))),
    )
