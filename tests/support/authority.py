"""An authority of our own that signs certificates as a real one does, by `openssl`."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[bare-authority]
basicConstraints = CA:TRUE
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
[bare-leaf]
subjectAltName = {names}
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A PEM file each."""

    path: Path
    key: Path


class Authority:
    """Signs certificates; its own is in `path`.

    Args:
        bare: leave out all that Python asks for only since 3.13, as people do who make one by hand.
    """

    def __init__(self, directory: Path, *, bare: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._prefix = "bare-" if bare else ""
        self.path = directory / "ca.pem"
        self._key = directory / "ca.key"
        configuration = self._configure("Test CA", "DNS:unused")
        section = f"{self._prefix}authority"
        made = ("-keyout", self._key, "-out", self.path, "-days", 30)
        _openssl("req", "-x509", *_KEY, *made, "-config", configuration, "-extensions", section)

    def sign(self, name: str, *, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2) -> Certificate:
        """A certificate for a server of these names, or for a client called `name`."""
        path, key, request = (self._directory / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        configuration = self._configure(name, names)
        _openssl("req", *_KEY, "-keyout", key, "-out", request, "-config", configuration)
        signed_by = ("-CA", self.path, "-CAkey", self._key, "-CAcreateserial", "-days", days)
        extensions = ("-extfile", configuration, "-extensions", f"{self._prefix}leaf")
        _openssl("x509", "-req", "-in", request, "-out", path, *signed_by, *extensions)
        return Certificate(path, key)

    def _configure(self, name: str, names: str) -> Path:
        path = self._directory / f"{name.replace(' ', '-')}.cnf"
        path.write_text(_CONFIGURATION.format(name=name, names=names))
        return path


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
