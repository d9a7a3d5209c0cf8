"""The line that says why a certificate is not trusted."""

import ssl

import pytest

from agents.http.certificates import distrust, found_distrust, name_authority


def refused(code: int, reason: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, reason
    return error


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (79, "invalid CA certificate"),
        (85, "Missing Authority Key Identifier"),
        (92, "CA cert does not include key usage extension"),
        (93, "Using cert extension requires at least X509v3"),
    ],
)
def test_certificates_that_lack_something_have_to_be_made_anew(code: int, reason: str) -> None:
    told = distrust(refused(code, reason), "name its authority")
    assert told.startswith(f"({reason}): have its authority make ")
    assert "keyUsage" in told
    assert "name its authority" not in told


@pytest.mark.parametrize(
    ("code", "reason"),
    [(10, "certificate has expired"), (62, "Hostname mismatch."), (78, "Unmatched"), (94, "Explicit")],
)
def test_others_have_the_remedy_of_where_they_are_set(code: int, reason: str) -> None:
    told = distrust(refused(code, reason), "name its authority")
    assert told == f"({reason.rstrip('.')}): name its authority"


def test_an_error_without_a_reason_is_named() -> None:
    assert distrust(ssl.SSLError("x"), "name its authority") == "(SSLError): name its authority"


def test_services_are_trusted_by_egress() -> None:
    told = name_authority(refused(20, "unable to get local issuer certificate"))
    assert told == (
        "shows a certificate that is not trusted (unable to get local issuer certificate): name its "
        "authority in KOTAE_EGRESS__CA_FILE, and call the server by a name that it is for"
    )


def test_the_refusal_is_found_below_what_a_client_makes_of_it() -> None:
    error = refused(10, "certificate has expired")
    wrapped, told = ConnectionError("wrapped"), RuntimeError("told")
    wrapped.__context__, told.__cause__ = error, wrapped
    assert found_distrust(told) is error
    assert found_distrust(RuntimeError("another")) is None
    assert found_distrust(None) is None
