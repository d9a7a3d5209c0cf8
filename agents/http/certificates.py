"""The reason why a server's certificate is not trusted, and the remedy, as one line. Pure."""

import ssl
from typing import TypeVar

E = TypeVar("E", bound=BaseException)

# OpenSSL's X509_V_ERR_INVALID_CA to X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3: all but the first come from the
# strict check that Python asks for since 3.13, which most authorities made by hand do not pass.
_INCOMPLETE = range(79, 94)
_ISSUE_ANEW = (
    "have its authority make its own certificate and this one anew, with basicConstraints, keyUsage, "
    "subjectKeyIdentifier and authorityKeyIdentifier: Python 3.13 and later demand them"
)


def distrust(error: Exception, remedy: str) -> str:
    """Return OpenSSL's reason and the remedy: `remedy`, unless the certificates themselves lack something."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"({type(error).__name__}): {remedy}"
    reason = error.verify_message.rstrip(".")
    return f"({reason}): {_ISSUE_ANEW if error.verify_code in _INCOMPLETE else remedy}"


def name_authority(error: Exception) -> str:
    """Return the line about a server that the system's authorities or those of `EGRESS.CA_FILE` sign for."""
    remedy = "name its authority in KOTAE_EGRESS__CA_FILE, and call the server by a name that it is for"
    return f"shows a certificate that is not trusted {distrust(error, remedy)}"


def found_distrust(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return the refusal of a certificate that `error` or one of its causes is; None: there is none."""
    return _found(error, ssl.SSLCertVerificationError)


def found_tls_failure(error: BaseException | None) -> ssl.SSLError | None:
    """Return the failure of TLS that `error` or one of its causes is; None: there is none."""
    return _found(error, ssl.SSLError)


def _found(error: BaseException | None, kind: type[E]) -> E | None:
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None
