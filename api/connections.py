"""Connections: how long one may ask nothing, and how many are borne.

Owns the deadline from the first byte of a connection to the end of a request's headers, and which
connection has to go where there are too many. It leaves the body's deadline and how many requests are
answered at one time to the applications, and the rest of HTTP to uvicorn.

Threat: half a header on some hundred sockets (slowloris), a byte now and then, and nobody else is
answered. So a connection on which no request is being answered has to bring the headers of one in time,
and where there are too many it is such a one that goes: of the address that has the most, the one that
has waited longest. Whoever opens many pushes out his own.
"""

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

HEAD_SECONDS: Final = 10.0
"""From the connection, or from the first byte after an answer, to the end of the headers."""
CONNECTIONS_PER_REQUEST: Final = 4
"""Connections are borne for each request at one time."""
ADDRESS_SHARE: Final = 2
"""One address may have this part of them: twice as many as requests are answered at one time."""
DESCRIPTOR_SHARE: Final = 2
"""Connections have this part of the file descriptors of the process: databases and files need the others."""


class Connected(Protocol):
    """A connection as the crowd sees it."""

    address: str
    transport: asyncio.Transport

    @property
    def is_answering(self) -> bool:
        """Whether a request came entire, and its answer has not gone yet."""
        ...


@dataclass(slots=True, eq=False)
class Crowd:
    """The open connections of one server, on its event loop alone."""

    most: int
    """Of all addresses."""
    most_of_one: int
    """Of one address."""
    _open: dict[Connected, None] = field(default_factory=dict)
    """In the order in which they began to wait."""
    _addresses: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, requests: int, *, shared_address: bool) -> "Crowd":
        """Return the bounds for so many requests at one time; behind a proxy all have one address."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = requests * CONNECTIONS_PER_REQUEST
        if descriptors != resource.RLIM_INFINITY:
            # Threat: where accepting fails for want of descriptors, so does opening a database.
            most = max(1, min(most, descriptors // DESCRIPTOR_SHARE))
        return cls(most, most if shared_address else max(1, most // ADDRESS_SHARE))

    def enter(self, one: Connected) -> None:
        """Take a connection in; where that is one too many, cut off one that waits, or else this one."""
        self._open[one] = None
        self._addresses[one.address] += 1
        if self._addresses[one.address] > self.most_of_one:
            self._cut_off(one.address, one)
        elif len(self._open) > self.most:
            self._cut_off(max(self._addresses, key=self._addresses.__getitem__), one)

    def wait(self, one: Connected) -> None:
        """Note that a connection waits from now on: it goes after those that have waited longer."""
        if one in self._open:
            del self._open[one]
            self._open[one] = None

    def leave(self, one: Connected) -> None:
        """Forget a connection."""
        if one in self._open:
            del self._open[one]
            self._addresses[one.address] -= 1
            if not self._addresses[one.address]:
                del self._addresses[one.address]

    def _cut_off(self, address: str, newest: Connected) -> None:
        waiting = (each for each in self._open if each.address == address and not each.is_answering)
        chosen = next(waiting, newest)
        self.leave(chosen)
        chosen.transport.abort()


class BoundedProtocol(H11Protocol):
    """A connection that has to ask within a time, and makes room where there are too many."""

    others: ClassVar[Crowd]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_answering(self) -> bool:
        """Whether a request came here entire, and its answer has not gone yet."""
        return self._is_asked and not self.cycle.more_body

    @property
    def _is_asked(self) -> bool:
        # uvicorn's annotation leaves out that there is none before the first request.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # as said

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection in, with a deadline."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._set_deadline()
        self.others.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._drop_deadline()
        self.others.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the deadline ends with a request's headers and begins with the bytes behind its answer."""
        super().data_received(data)
        if self._is_asked:
            self._drop_deadline()
        elif self._deadline is None:
            self._set_deadline()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.others.wait(self)
        super().on_response_complete()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
