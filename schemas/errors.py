"""What can go wrong with a question, as the codes that its answer carries."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """`error.code` of a failed answer."""

    DEADLINE_EXCEEDED = "deadline_exceeded"
    EXPIRED_BEFORE_START = "expired_before_start"
    UNDECODABLE = "undecodable"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_REJECTED = "model_rejected"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"
