"""Each failure of a dependency names the setting to check."""

import ssl

import pytest

from agents.errors import (
    BadOutputError,
    DependencyError,
    PermanentError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnusableServerError,
    error_of_status,
)
from streams.assembly.remedies import remedy_for


def of_tls(kind: type[DependencyError]) -> DependencyError:
    error = kind("model", "cannot be reached")
    error.__cause__ = ssl.SSLError(1, "wrong version number")
    return error


@pytest.mark.parametrize(
    ("dependency", "status", "named"),
    [
        ("model", 401, "check KOTAE_MODEL__API_KEY"),
        ("model", 403, "check KOTAE_MODEL__API_KEY"),
        ("model", 404, "check KOTAE_MODEL__BASE_URL and KOTAE_MODEL__NAME"),
        ("model", 400, "check KOTAE_MODEL__NAME and KOTAE_MODEL__PARAMETERS"),
        ("model", 422, "check KOTAE_MODEL__NAME and KOTAE_MODEL__PARAMETERS"),
        ("model", 302, "redirects are not followed: give the final address in KOTAE_MODEL__BASE_URL"),
        ("model", 429, "KOTAE_MODEL__BASE_URL names allows no more calls"),
        ("model", 500, "look at the log of the server that KOTAE_MODEL__BASE_URL names"),
        ("model", 503, "look at the log of the server that KOTAE_MODEL__BASE_URL names"),
        ("fallback_model", 401, "check KOTAE_MODEL__FALLBACK_API_KEY and KOTAE_MODEL__FALLBACK_HEADERS"),
        ("fallback_model", 404, "check KOTAE_MODEL__FALLBACK_BASE_URL and KOTAE_MODEL__FALLBACK_NAME"),
        ("embeddings", 401, "check KOTAE_EMBEDDINGS__API_KEY"),
        ("embeddings", 400, "check KOTAE_EMBEDDINGS__NAME"),
        ("knowledge", 403, "check KOTAE_KNOWLEDGE__QDRANT_API_KEY"),
        ("knowledge", 404, "check KOTAE_KNOWLEDGE__QDRANT_URL and KOTAE_KNOWLEDGE__COLLECTION"),
        ("tools/weather", 401, "check headers in [tools.weather]"),
        ("tools/weather", 404, "check url in [tools.weather]"),
        ("tools/weather", 400, "check method and parameters in [tools.weather]"),
        ("generator", 401, "look at the component that KOTAE_COMPONENTS__GENERATOR names"),
    ],
)
def test_a_status_names_its_setting(dependency: str, status: int, named: str) -> None:
    assert named in remedy_for(dependency, error_of_status(dependency, f"HTTP {status}", status))


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (
            UnusableServerError("model", "not trusted"),
            "check KOTAE_MODEL__BASE_URL and KOTAE_EGRESS__CA_FILE",
        ),
        (of_tls(TransientError), "KOTAE_MODEL__BASE_URL (https or http, host and port)"),
        (TransientError("model", "refused"), "KOTAE_MODEL__BASE_URL names runs and can be reached"),
        (TimedOutError("model", "late"), "KOTAE_LIMITS__DEADLINE_S"),
        (
            BadOutputError("model", "HTML"),
            "KOTAE_MODEL__BASE_URL is the address of an OpenAI-compatible server",
        ),
        (ThrottledError("model", "busy"), "allows no more calls"),
        (PermanentError("model", "too long"), "KOTAE_MODEL__BASE_URL"),
    ],
)
def test_a_failure_without_a_status_names_its_setting(error: DependencyError, named: str) -> None:
    assert named in remedy_for("model", error)
