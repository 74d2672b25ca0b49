"""Logging in to a transit server: the token at hand, had by logging in and renewed before it expires.

Owns the token's life and the file that its secret is read from, anew at each login: whoever rotates it puts
another file into its place. It leaves the requests to hvac's client, which is passed in.
"""

import os
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final

from vault.crypto.transit_place import TransitAuth, TransitPlace
from vault.errors import RootAnswerError, RootDeniedError, RootUnusableError

Attempt = Callable[[float, str], AbstractContextManager[None]]
"""Bounds the requests made within it in seconds, and says under which token they are made."""

_MAX_CREDENTIAL: Final = 65_536
_RENEW_AT: Final = 1 / 3
"""Share of a token's life that is left when it is renewed."""
_WARN_AT: Final = 1 / 6
_LOGIN_PAUSE: Final = 1.0
"""Seconds between two logins that a refusal asks for: a withdrawn permission must not become a storm of logins."""


class Login:
    """The token at hand: had by logging in, renewed before it expires. Shared by threads."""

    def __init__(
        self,
        place: TransitPlace,
        client: Any,  # noqa: ANN401  # hvac has no types
        attempt: Attempt,
        clock: Callable[[], float],
    ) -> None:
        self._place = place
        self._client = client
        self._attempt = attempt
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._life = 0.0
        self._whole_life = 0.0
        self._expires: float | None = None
        self._renewable = False
        self._tried = -_LOGIN_PAUSE

    def token(self, seconds: float) -> str:
        """Return a token, logging in or renewing it where that is due."""
        if self._token and not self._due():
            return self._token
        with self._lock:
            if not self._token:
                self._log_in(seconds)
            elif self._due() and self._clock() - self._tried >= _LOGIN_PAUSE:
                self._renew(seconds)
            return self._token

    def again(self, refused: str, seconds: float) -> str | None:
        """Return another token than the refused one; None where logging in anew was tried just now."""
        with self._lock:
            if self._token != refused:
                return self._token
            if self._clock() - self._tried < _LOGIN_PAUSE:
                return None
            self._log_in(seconds)
            return self._token

    def left(self) -> float | None:
        """Return the seconds of a token that should have been renewed long ago; None where all is well."""
        expires = self._expires
        if expires is None or expires - self._clock() > self._life * _WARN_AT:
            return None
        return max(0.0, expires - self._clock())

    def _due(self) -> bool:
        return self._expires is not None and self._expires - self._clock() <= self._life * _RENEW_AT

    def _renew(self, seconds: float) -> None:
        """Renew the token, or log in; as long as it lives, it is used whatever comes of that."""
        try:
            if self._renewable and self._renewed(seconds):
                return
            self._log_in(seconds)
        except RootUnusableError:
            if self._expires is None or self._clock() >= self._expires:
                raise

    def _renewed(self, seconds: float) -> bool:
        """Renew the token; say whether no login is needed all the same."""
        self._tried = self._clock()
        try:
            with self._attempt(seconds, self._token):
                self._take(self._client.auth.token.renew_self())
        except RootDeniedError:  # it expired while nobody asked, or was revoked: renewing it will never help
            return False
        # Near its longest life a token is renewed for ever shorter: then only a login helps, too.
        return self._expires is None or self._life >= self._whole_life / 2

    def _log_in(self, seconds: float) -> None:
        self._tried = self._clock()
        place, auth = self._place, self._client.auth
        secret = read_credential(place.credential_file, exposed=place.auth is TransitAuth.KUBERNETES)
        mount = place.auth_mount or place.auth.value
        if place.auth is TransitAuth.TOKEN:
            self._take_given(secret, seconds)
            self._whole_life = self._life
            return
        login = (
            partial(auth.approle.login, place.role, secret)
            if place.auth is TransitAuth.APPROLE
            else partial(auth.kubernetes.login, place.role, secret)
        )
        with self._attempt(seconds, ""):
            try:
                self._take(login(use_token=False, mount_point=mount))
                self._whole_life = self._life
            except RootAnswerError:
                # What a login refuses it refuses as a bad request.
                raise RootDeniedError("the transit server refuses the login") from None

    def _take_given(self, token: str, seconds: float) -> None:
        """Take a token that was given, and ask how long it lives; a policy may forbid to ask."""
        self._token, self._life, self._expires, self._renewable = token, 0.0, None, False
        try:
            with self._attempt(seconds, token):
                told = self._client.auth.token.lookup_self().get("data")
        except RootDeniedError:
            return
        if isinstance(told, dict):
            self._lives(told.get("ttl"), renewable=told.get("renewable") is True)

    def _take(self, answer: Mapping[str, Any]) -> None:
        told = answer.get("auth")
        token = told.get("client_token") if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(token, str) or not _is_header(token):
            raise RootAnswerError("the transit server gave no token")
        self._token = token
        self._lives(told.get("lease_duration"), renewable=told.get("renewable") is True)

    def _lives(self, seconds: object, *, renewable: bool) -> None:
        """Take note of a token's life; nothing, or none at all, is a token that does not expire."""
        life = float(seconds) if isinstance(seconds, int) and seconds > 0 else None
        self._life = life or 0.0
        self._expires = None if life is None else self._clock() + life
        self._renewable = renewable


def read_credential(path: Path, *, exposed: bool = False) -> str:
    """Return the one line of a file with a secret.

    Args:
        path: Where it is.
        exposed: Others may read it, as a service account's JWT in its container; nobody else may write it.

    Raises:
        RootDeniedError: there is no such file, others can read it, or it is not one line of text.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not wait for a writer
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise RootDeniedError(
            f"the file with the transit credential cannot be read: {error.strerror}"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & (0o022 if exposed else 0o077):
            raise RootDeniedError(
                "expected the transit credential in a regular file that is open to nobody else"
            )
        content = os.read(descriptor, _MAX_CREDENTIAL + 1)
    finally:
        os.close(descriptor)
    line = content.decode("ascii", "replace").removesuffix("\n").removesuffix("\r")
    if len(content) > _MAX_CREDENTIAL or not _is_header(line):
        raise RootDeniedError("expected the transit credential as one line of text")
    return line


def _is_header(text: str) -> bool:
    """Say whether a text can stand in a header: printable ASCII without blanks, so that it brings no second one."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
