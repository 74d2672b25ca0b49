"""TLS in front of a connection: how long a handshake may take, and how many are borne.

Owns the time from the accepted socket to the end of the handshake. It leaves which connection goes where
there are too many to `api.connections`, whose crowd counts those that shake hands, too, and the request to
the protocol behind the handshake.

Threat: sockets on which nobody ever says hello, or half of one. asyncio counts none of them before the
handshake is done, and waits a minute for each: some hundred of them take every file descriptor there is, and
nobody else is accepted. So the server accepts in clear, counts, and begins TLS by itself.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from api.connections import Crowd
from api.errors import ExposureRefusedError

HANDSHAKE_SECONDS: Final = 10.0
"""From the accepted socket to the end of the handshake."""


def tls_context(certificates: Path, key: Path | None) -> ssl.SSLContext:
    """Return what a server shakes hands with: TLS 1.2 at least, HTTP/1.1 alone.

    Raises:
        ExposureRefusedError: the files cannot be read, or hold no chain and its key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificates, key)
    except (OSError, ssl.SSLError):
        # The cause is dropped: it may name what the files hold.
        raise ExposureRefusedError("expected TLS files with a chain of certificates and its key") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsProtocol(asyncio.Protocol):
    """A connection before and in its handshake; after it, it is another protocol's.

    Args:
        others: Counts it until then.
        context: What hands are shaken with.
        behind: Makes what speaks when they are shaken.
    """

    def __init__(
        self, others: Crowd, context: ssl.SSLContext, behind: Callable[[], asyncio.Protocol]
    ) -> None:
        self._others = others
        self._context = context
        self._behind = behind
        self._early = bytearray()
        self._is_lost = False
        self._task: asyncio.Task[None] | None = None
        self.address = ""
        self.is_answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Count the connection, and begin the handshake."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        transport.pause_reading()  # nothing of the handshake is for this protocol
        self._others.enter(self)
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        """Keep what came, deciphered, before the other protocol was told of the connection."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Forget the connection."""
        self._is_lost = True
        self._others.leave(self)

    async def _shake_hands(self) -> None:
        opened: asyncio.Transport | None = None
        with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
            opened = await asyncio.get_running_loop().start_tls(
                self.transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=HANDSHAKE_SECONDS,
            )
        self._others.leave(self)
        if opened is None or self._is_lost:
            self.transport.abort()
            return
        protocol = self._behind()
        opened.set_protocol(protocol)
        protocol.connection_made(opened)
        if self._early:
            protocol.data_received(bytes(self._early))
