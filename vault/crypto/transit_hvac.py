"""The client of a transit engine: what is asked, through hvac.

Owns the one import of hvac and what is asked through it. It leaves connections and their times to
`vault.crypto.transit_http`, which stands in the place of hvac's transport, what an answer means to
`vault.crypto.transit_answers`, the token to `vault.crypto.transit_login`, waiting to `vault.crypto.patience`,
and the format of a wrapped key to `vault.crypto.transit_root`.

Neither a secret nor a server's text is in any message: what is known is told as a kind.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import hvac
from hvac.adapters import Adapter

from vault.clock import Entropy, monotonic, system_entropy
from vault.crypto.patience import Patience
from vault.crypto.transit_answers import judged, plaintext_of, result_of, text_of
from vault.crypto.transit_http import Connections
from vault.crypto.transit_login import Login
from vault.crypto.transit_place import TransitPlace
from vault.crypto.transit_root import KeyVersions, Refusal
from vault.errors import RootAnswerError, RootDeniedError


class _Transport(Adapter):  # type: ignore[misc]  # hvac has no types
    """Carries hvac's requests over our connections, within the time of the attempt at hand."""

    connections: Connections

    def __init__(self, *, connections: Connections, **given: Any) -> None:  # noqa: ANN401  # hvac's own arguments
        super().__init__(**given)
        self.connections = connections
        self._attempt = threading.local()

    def get_login_token(self, response: Mapping[str, Any]) -> str:
        """Return the token of a login; hvac asks for it."""
        return str(response["auth"]["client_token"])

    @contextmanager
    def attempt(self, seconds: float, token: str, *, once: bool = False) -> Iterator[None]:
        """Bound the requests of this thread in time, and say as whom they are made."""
        self._attempt.given = (seconds, token, once)
        try:
            yield
        finally:
            del self._attempt.given

    def request(  # hvac's signature
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        raise_exception: bool = True,  # noqa: ARG002, FBT001, FBT002  # hvac's signature
        **kwargs: Any,  # noqa: ANN401  # as hvac gives it
    ) -> Mapping[str, Any]:
        """Return the answer's JSON.

        Raises:
            RootUnusableError: or one of its kinds.
        """
        seconds, token, once = self._attempt.given
        sent = {"X-Vault-Request": "true", **(headers or {})}
        if token:
            sent["X-Vault-Token"] = token
        if self.namespace:
            sent["X-Vault-Namespace"] = self.namespace
        body = None
        if kwargs.get("json") is not None:
            body = json.dumps(kwargs["json"]).encode()
            sent["Content-Type"] = "application/json"
        path = "/" + url.lstrip("/")
        return judged(self.connections.ask(method.upper(), path, body, sent, seconds, once=once))


class HvacTransit:
    """A client of one transit key; see `TransitClient`. Shared by threads.

    Args:
        place: Where the key is, and how to log in.
        clock: Seconds that never go back.
        sleep: Waits that many seconds.
        entropy: For the lengths of pauses.

    Raises:
        InputInvalidError: a certificate's file cannot be read.
    """

    def __init__(
        self,
        place: TransitPlace,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], None] = time.sleep,
        entropy: Entropy = system_entropy,
    ) -> None:
        self.place: Final = place
        self._connections = Connections(place, clock)
        # An empty token: hvac would else take one from the environment or the home directory.
        self._hvac = hvac.Client(
            url=place.url,
            token="",
            namespace=place.namespace,
            adapter=partial(_Transport, connections=self._connections),
            verify=True,
        )
        self._transport: _Transport = self._hvac.adapter
        self._patience = Patience(place.patience, clock, sleep, entropy)
        self._clock = clock
        self._login = Login(place, self._hvac, self._transport.attempt, clock)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    @property
    def resting(self) -> bool:
        """Whether the server is left alone after failures."""
        return self._patience.breaker.open

    def check_login(self) -> None:
        """Log in, if nobody has.

        Raises:
            RootUnusableError: or one of its kinds.
        """
        self._patience.call(self._login.token)

    def encrypt_many(self, plaintexts: Sequence[bytes]) -> list[str]:
        """Encrypt under the newest version."""
        batch = [{"plaintext": base64.b64encode(one).decode()} for one in plaintexts]
        transit = self._hvac.secrets.transit
        results = self._batch(lambda: transit.encrypt_data(batch_input=batch, **self._named), len(batch))
        return [text_of(one, "ciphertext") for one in results]

    def decrypt_many(self, ciphertexts: Sequence[str]) -> list[bytes | Refusal]:
        """Decrypt, whatever version each is of."""
        batch = [{"ciphertext": one} for one in ciphertexts]
        transit = self._hvac.secrets.transit
        asked = partial(transit.decrypt_data, ciphertext=None, batch_input=batch, **self._named)
        return [result_of(one, plaintext_of) for one in self._batch(asked, len(batch))]

    def rewrap_many(self, ciphertexts: Sequence[str]) -> list[str | Refusal]:
        """Encrypt anew under the newest version, without showing what is encrypted."""
        batch = [{"ciphertext": one} for one in ciphertexts]
        transit = self._hvac.secrets.transit
        asked = partial(transit.rewrap_data, ciphertext=None, batch_input=batch, **self._named)
        return [result_of(one, partial(text_of, name="ciphertext")) for one in self._batch(asked, len(batch))]

    def rotate(self) -> None:
        """Make a new version of the key; never asked twice."""
        self._call(lambda: self._hvac.secrets.transit.rotate_key(**self._named), once=True)

    def key_status(self) -> KeyVersions:
        """Return the key's versions."""
        answer = self._call(lambda: self._hvac.secrets.transit.read_key(**self._named))
        told: Any = answer.get("data")
        try:
            return KeyVersions(int(told["latest_version"]), int(told["min_decryption_version"]))
        except (TypeError, KeyError, ValueError):
            raise RootAnswerError("the transit server told no versions of the key") from None

    def notes(self) -> tuple[str, ...]:
        """Return what will be a fault if nobody looks after it."""
        left = self._login.left()
        return () if left is None else (f"the token expires in {left:.0f} s and was not renewed",)

    @property
    def _named(self) -> dict[str, str]:
        return {"name": self.place.key, "mount_point": self.place.mount}

    def _batch(self, ask: Callable[[], Mapping[str, Any]], size: int) -> list[Mapping[str, Any]]:
        results = self._call(ask).get("data")
        found = results.get("batch_results") if isinstance(results, dict) else None
        if (
            not isinstance(found, list)
            or len(found) != size
            or not all(isinstance(one, dict) for one in found)
        ):
            raise RootAnswerError(f"expected {size} results of the transit server")
        return found

    def _call(self, ask: Callable[[], Mapping[str, Any]], *, once: bool = False) -> Mapping[str, Any]:
        """Ask as somebody who is logged in; where that is refused, log in anew and ask again, once."""

        def attempt(seconds: float) -> Mapping[str, Any]:
            end = self._clock() + seconds
            token = self._login.token(seconds)
            try:
                with self._transport.attempt(end - self._clock(), token, once=once):
                    return ask()
            except RootDeniedError:
                renewed = self._login.again(token, end - self._clock())
                if renewed is None:
                    raise
            with self._transport.attempt(end - self._clock(), renewed, once=once):
                return ask()

        return self._patience.call(attempt, once=once)
