"""Where a transit key is, and how a process logs in there: values alone, no vendor and no network.

Owns their bounds. Secrets are never among them: only the paths of files that hold them are.
"""

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from vault.crypto.patience import PatienceLimits
from vault.crypto.transit_file import check_key_name, check_mount
from vault.errors import InputInvalidError

_MAX_NAME: Final = 256


class TransitAuth(StrEnum):
    """How to log in."""

    TOKEN = "token"  # noqa: S105  # a kind
    """The file holds a token; who writes it there renews it, or the vault does where it may."""
    APPROLE = "approle"
    """The file holds a secret id."""
    KUBERNETES = "kubernetes"
    """The file holds a service account's JWT."""


@dataclass(frozen=True, slots=True)
class TransitPlace:
    """A transit key, and how to reach it.

    Raises:
        InputInvalidError: something is not of its form, or plain HTTP would leave this machine.
    """

    url: str
    key: str
    credential_file: Path
    mount: str = "transit"
    namespace: str | None = None
    auth: TransitAuth = TransitAuth.TOKEN
    auth_mount: str | None = None
    """None is the kind of the login."""
    role: str | None = None
    """The AppRole's role id, or the Kubernetes role."""
    ca_file: Path | None = None
    """PEM file of the authorities of the server's certificate; None is the system's."""
    certificate_file: Path | None = None
    """PEM file of a client certificate; with its key file."""
    certificate_key_file: Path | None = None
    patience: PatienceLimits = field(default_factory=PatienceLimits)

    def __post_init__(self) -> None:
        check_mount(self.mount)
        check_key_name(self.key)
        if self.auth_mount is not None:
            check_mount(self.auth_mount)
        if self.namespace is not None:
            check_mount(self.namespace.strip("/"))
        if (self.role is None) != (self.auth is TransitAuth.TOKEN):
            raise InputInvalidError(
                "expected a role for a login by AppRole or Kubernetes, and none for a token"
            )
        if self.role is not None and not (self.role.isprintable() and 1 <= len(self.role) <= _MAX_NAME):
            raise InputInvalidError("expected a role of printable text")
        if (self.certificate_file is None) != (self.certificate_key_file is None):
            raise InputInvalidError("expected a client certificate with its key, or neither")
        _check_url(self.url)


def _check_url(url: str) -> None:
    """See that a URL is one of a server, and that no token would travel in clear.

    Raises:
        InputInvalidError: it is not.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputInvalidError("expected a URL of a transit server") from None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or parts.username:
        raise InputInvalidError("expected a transit server's URL of https, without a query or a user")
    if parts.path.strip("/"):
        raise InputInvalidError("expected a transit server's URL without a path")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InputInvalidError("beyond this machine expected a transit server's URL of https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
