"""The codes for problems with a question: error codes, degrade reasons, warnings, dispositions.

REFERENCE.md is made from the members' docstrings.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The reason why a question failed."""

    DEADLINE_EXCEEDED = "deadline_exceeded"
    """The deadline passed before there was an answer, and nothing could stand in for one."""
    EXPIRED_BEFORE_START = "expired_before_start"
    """The question's own deadline passed before its work began. Nothing was called."""
    UNDECODABLE = "undecodable"
    """The record's value is not JSON in UTF-8: null, truncated, bad bytes, NaN or nested too deeply."""
    INVALID = "invalid"
    """The record's value is JSON, but a field is missing, of the wrong type or out of bounds."""
    TOO_LARGE = "too_large"
    """The question's text, or the answer with all that it echoes, is longer than allowed."""
    MODEL_UNAVAILABLE = "model_unavailable"
    """The model is down or wrote no text, and no passage supports an answer without it."""
    MODEL_REJECTED = "model_rejected"
    """The model's server refused the request, and no passage supports an answer without the model."""
    OVERLOADED = "overloaded"
    """The question had waited so long, among too many others, that it was refused. Nothing was called."""
    INTERNAL = "internal"
    """A defect in Kotae or in a custom component; the worker's log holds its stack. Or the question was sent
    again, and its first answer cannot be read any more."""
    CANCELLED = "cancelled"
    """The asker called the question back by `questions.control`. There is no dead letter."""


class DegradeReason(StrEnum):
    """The reasons why an answer is less than it could have been.

    A custom graph may add others: readers must expect them.
    """

    REWRITE_TIMEOUT = "rewrite_timeout"
    """The rewriting of a follow-up was late. The search used names of the history, found without a model."""
    REWRITE_UNAVAILABLE = "rewrite_unavailable"
    """The rewriting of a follow-up failed. The search used names of the history, found without a model."""
    RETRIEVAL_TIMEOUT = "retrieval_timeout"
    """Retrieval was late. The answer rests on tools and history, and the model is told to say so."""
    RETRIEVAL_UNAVAILABLE = "retrieval_unavailable"
    """Retrieval failed. The answer rests on tools and history, and the model is told to say so."""
    MEANING_UNAVAILABLE = "meaning_unavailable"
    """The embeddings failed. The search used words alone, and may have missed passages in other words."""
    PLAN_TIMEOUT = "plan_timeout"
    """The plan was late. No tool was called."""
    PLAN_UNAVAILABLE = "plan_unavailable"
    """The plan failed. No tool was called."""
    TOOLS_TIMEOUT = "tools_timeout"
    """A tool was late, or no time was left for tools. The answer rests on the rest."""
    TOOLS_ERROR = "tools_error"
    """A tool failed, or nobody knows whether it ran. The answer rests on the rest."""
    TOOLS_REJECTED = "tools_rejected"
    """A call was not allowed, or its arguments did not fit. Nothing was sent for it."""
    TOOL_CALLS_REFUSED = "tool_calls_refused"
    """The model wanted tools while it wrote the answer. The plan was made before, so none of them ran."""
    ANSWER_TRUNCATED = "answer_truncated"
    """The model's reply was cut at its longest length. The text is the beginning of an answer, or the plan of
    tools may lack some."""
    ANSWER_FILTERED = "answer_filtered"
    """The filter of the model's server stopped the reply, or the model refused a part. The text, or the plan
    of tools, is incomplete."""
    MODEL_FALLBACK = "model_fallback"
    """The first model failed. The fallback model wrote the answer or the plan."""
    MODEL_TIMEOUT = "model_timeout"
    """The model was late. The answer is made of sentences from the passages."""
    MODEL_UNAVAILABLE = "model_unavailable"
    """The model failed or wrote no text. The answer is made of sentences from the passages."""
    MODEL_REJECTED = "model_rejected"
    """The model's server refused the request. The answer is made of sentences from the passages."""


class WarningCode(StrEnum):
    """The things about a question or its answer that its asker should know, though they did not stop it."""

    UNUSABLE_ROLE = "unusable_role"
    """The history holds turns of a role such as `tool`. They were left out."""
    UNUSABLE_CONTENT = "unusable_content"
    """The history holds parts that are no text, such as images. They were left out."""
    UNSUPPORTED_CITATION = "unsupported_citation"
    """The quote of a citation has less than half of the statement that cites it."""
    UNSUPPORTED_NUMBER = "unsupported_number"
    """The answer holds a number that no source, tool result or question has."""
    UNUSABLE_REPLY_PARTITION = "unusable_reply_partition"
    """The question names a partition for its reply that its reply topic does not have. No reply was sent."""
    ID_REUSED = "id_reused"
    """Another question of the conversation had the same id. This one asks something else, so it was run."""


class Disposition(StrEnum):
    """The damage to a dead letter that is not its record as it came.

    Every other dead letter has the error code of its failed answer there.
    """

    TRUNCATED = "truncated"
    """The value is only the beginning of the record's, which was too large. It cannot be redriven."""
    HEADERS_LOST = "headers_lost"
    """The headers whose names could not be read are missing. It cannot be redriven."""
