"""The certificate authorities that are trusted besides the system's."""

import ssl

from streams.settings.errors import SettingsError


def build_trust(ca_file: str) -> ssl.SSLContext | None:
    """Make a TLS context that trusts the authorities of a PEM file, too; None: only the system's.

    Raises:
        SettingsError: the file cannot be read, or holds no certificate.
    """
    if not ca_file:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"KOTAE_EGRESS__CA_FILE names {ca_file}, which is not a PEM file of certificates that can be read"
        ) from error
    return context
