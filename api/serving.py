"""The server: where the application may be bound, and its life.

Owns the refusal to be reachable in a way that the settings do not justify: beyond loopback neither with a
root key that lies in a file beside the data, nor without TLS or a proxy that ends it. It leaves to
`api.connections` how long and how many connections are borne.
"""

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from logging.config import dictConfig
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

import uvicorn
from fastapi import FastAPI

from api.connections import BoundedProtocol, Crowd
from api.errors import ExposureRefusedError
from api.handshakes import TlsProtocol, tls_context
from api.hangup import reloading_on_hangup
from api.problems import outline

if TYPE_CHECKING:  # a witness is served from here, too, and knows no vault
    from api.settings import Settings
    from vault.crypto.root import RootKind
    from vault.opening import Vault

_LOGGER: Final = logging.getLogger(__name__)
_BACKLOG: Final = 128
_GRACE_SECONDS: Final = 10


class Served(Protocol):
    """The settings of a server: where it is reached, by what, and how much at one time."""

    @property
    def host(self) -> str:
        """Address."""

    @property
    def port(self) -> int:
        """TCP port; 0 takes a free one."""

    @property
    def behind_proxy(self) -> bool:
        """Whether a proxy of ours ends TLS."""

    @property
    def tls_certificate_file(self) -> Path | None:
        """Chain of certificates."""

    @property
    def tls_key_file(self) -> Path | None:
        """Private key of the certificate."""

    @property
    def requests(self) -> int:
        """Requests at one time."""


def check_exposure(settings: "Settings", root: "RootKind") -> None:
    """Refuse to be reachable where the settings do not justify it.

    Raises:
        ExposureRefusedError: says what is missing.
    """
    from vault.crypto.root import RootKind  # noqa: PLC0415  # as above

    if is_loopback(settings.host):
        return
    if root is RootKind.FILE:
        raise ExposureRefusedError(
            "beyond loopback the root key must not lie in a file beside the data: protect it by a passphrase"
        )
    check_transport(settings, "MEMVAULT_BEHIND_PROXY")


def check_transport(settings: Served, proxy_setting: str) -> None:
    """Refuse to be reachable beyond loopback without TLS.

    Raises:
        ExposureRefusedError: says what is missing.
    """
    if not (is_loopback(settings.host) or settings.tls_certificate_file or settings.behind_proxy):
        raise ExposureRefusedError(
            f"beyond loopback expected TLS files, or {proxy_setting}=true where a proxy of yours ends TLS"
        )


def is_loopback(host: str) -> bool:
    """Say whether an address reaches this machine alone; of names only `localhost` does."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(settings: Served) -> socket.socket:
    """Bind the address of the settings.

    Raises:
        ExposureRefusedError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named so that asyncio sees TCP and turns Nagle's delay off: 40 ms an answer else.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((settings.host, settings.port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ExposureRefusedError(f"the address cannot be bound: {error.strerror}") from None
    return bound


def serve(app: FastAPI, settings: "Settings", bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until the process is told to end; requests under way are finished first.

    Args:
        app: The application.
        settings: Limits and TLS.
        bound: A listening socket.
        ready: Called when requests are answered.
    """
    vault: Vault = app.state.vault
    vault.load_models()  # so that the first request does not wait for it
    with reloading_on_hangup(vault, lambda line: _LOGGER.warning("%s", line)):
        run_server(app, settings, bound, ready)


def run_server(app: FastAPI, settings: Served, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve any application of ours until the process is told to end; see `serve`."""
    dictConfig(LOGGING)
    # After its own orderly end uvicorn raises the signal once more: let it unwind, so that the vault closes.
    signal.signal(signal.SIGTERM, _unwind)
    config = uvicorn.Config(
        app,
        http=_spoken(settings),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        workers=1,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips="127.0.0.1",
        # How many are answered at one time is the applications' to say, which count requests: uvicorn counts
        # connections, too, also those on which nothing was asked.
        limit_concurrency=None,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        # So many are accepted at one go, before any of them is counted.
        backlog=_BACKLOG,
    )
    _Server(config, ready).run(sockets=[bound])


def _spoken(settings: Served) -> type[asyncio.Protocol]:
    """Return what speaks on a connection: HTTP, or TLS and then HTTP, both counted in one crowd."""
    crowd = Crowd.of(settings.requests, shared_address=settings.behind_proxy)

    class Bounded(BoundedProtocol):
        others = crowd

    if settings.tls_certificate_file is None:
        return Bounded
    context = tls_context(settings.tls_certificate_file, settings.tls_key_file)

    class Tls(TlsProtocol):
        def __init__(self, **made: Any) -> None:  # noqa: ANN401  # uvicorn's, passed on
            super().__init__(crowd, context, partial(Bounded, **made))

    return Tls


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _unwind(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


class OutlineFormatter(logging.Formatter):
    """Formats errors as types and places: a message or a value in a traceback could be content."""

    def formatException(  # noqa: N802  # logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """Return the outline of an exception."""
        return "" if ei[1] is None else outline(ei[1])


LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": OutlineFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
}
