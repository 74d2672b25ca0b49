"""The log's stream of a vault that is served, for a process beside it.

Owns the client of `GET /v1/audit/stream`: a vault is open in one process at a time, so what follows a served
vault asks its server. What arrives is checked, not believed: each item's header must be in its canonical
form, of the log that it names, and hash to its leaf. An API key goes over TLS, or to this machine.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from api.errors import NotAuthenticatedError, NotReadyError, SettingsInvalidError
from audit.errors import MalformedError
from audit.event import parse_header
from audit.payload_keys import outgoing
from audit.siem.item import LogItem
from policies.errors import DeniedError
from vault.errors import TamperedError
from vault.log_stream import BATCH, Anchored

SECONDS: Final = 30.0
_MAX_ANSWER: Final = 64 << 20
_MAX_KEY: Final = 1_024
_MAX_PROBLEM: Final = 4_096
_SOURCE: Final = "urn:memvault:log:"
RANGE_HEADER: Final = "Memvault-Log-Range"
_RANGE: Final = re.compile(
    r'log="(?P<log>[^"]{1,300})", first=\d{1,16}, stop=(?P<stop>\d{1,16}), leaf="(?P<leaf>(?:[0-9a-f]{64})?)"',
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Server:
    """Where a vault is served, and the key that is shown there."""

    url: str
    key: str = field(repr=False)
    authorities: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        local = parts.scheme == "http" and _is_here(parts.hostname)
        if not parts.hostname or parts.query or parts.fragment or parts.username or parts.password:
            raise SettingsInvalidError("expected a server as https://host:port")
        if parts.scheme != "https" and not local:
            raise SettingsInvalidError("expected https: an API key does not leave this machine in clear")

    @classmethod
    def with_key_file(cls, url: str, file: Path, authorities: Path | None = None) -> "Server":
        """Return a server with the API key that a file holds.

        Raises:
            SettingsInvalidError: the file cannot be read, or holds no key; or the URL is none.
        """
        try:
            with file.open("r", encoding="ascii") as opened:
                key = opened.read(_MAX_KEY).strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsInvalidError("expected a file with an API key") from None
        if not key.isprintable() or " " in key or not key:
            raise SettingsInvalidError("expected a file with an API key")
        return cls(url.rstrip("/"), key, authorities)


def opener_of(server: Server) -> OpenerDirector:
    """Return what asks a server, and nobody else on the way.

    Raises:
        SettingsInvalidError: the file of authorities holds no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=server.authorities)
    except OSError:
        raise SettingsInvalidError("expected a PEM file of certificates as the authorities") from None
    # No proxy of the environment's: it would be shown the key.
    return build_opener(ProxyHandler({}), HTTPSHandler(context=context), _NoRedirect())


class _NoRedirect(HTTPRedirectHandler):
    """Follows nothing: the key is for this server alone."""

    def redirect_request(self, *_args: object, **_named: object) -> None:
        """Refuse."""


class RemoteStream:
    """Hands out the items of a served vault's log, like `vault.log_stream.LogStream`.

    Args:
        server: Where.
        after: Where an earlier stream stopped; None begins at `start`.
        start: First leaf index.
        query: Which entries are items; empty for all.

    Raises:
        SettingsInvalidError: the file of authorities holds no certificates.
    """

    def __init__(
        self, server: Server, after: Anchored | None = None, start: int = 0, query: str = ""
    ) -> None:
        self._server = server
        self._after = after
        self._next = start if after is None else after.start
        self._origin = None if after is None else after.origin
        self._query = query.strip()
        self._reached: Anchored | None = None
        self._opener = opener_of(server)

    def take(self) -> list[LogItem]:
        """Return the next items; none where there is nothing to give now.

        Raises:
            NotReadyError: the server did not answer, or not as it should: try again.
            NotAuthenticatedError: the key is not valid there.
            DeniedError: the key's principal may not read the log.
            TamperedError: what it answered is not what the leaves say, or not the log of the cursor.
        """
        if self._after is not None:
            self._expect_same_log(self._after)
            self._after = None
        items, behind = self._ask(self._next, BATCH, self._query)
        if behind is not None:
            self._next, self._reached = behind.start, behind
        return items

    @property
    def reached(self) -> Anchored | None:
        """The place behind the last entry that was looked at; None before the first."""
        return self._reached

    def batches(self) -> Iterator[list[LogItem]]:
        """Yield batches until there is nothing more to give; an empty one where nothing fits the query."""
        before = -1
        while before != self._next:
            before = self._next
            items = self.take()
            if before != self._next:
                yield items

    def _expect_same_log(self, after: Anchored) -> None:
        size = _whole(self._get("/v1/audit/checkpoint", {}).get("size"))
        if size < after.start:
            raise TamperedError(f"the log has {size} entries, and {after.start} were delivered")
        if after.start:
            last, _ = self._ask(after.start - 1, 1)
            if last and last[0].leaf_hash != after.leaf_hash:
                raise TamperedError(f"entry {after.start - 1} is not the one that was delivered")

    def _ask(self, start: int, limit: int, query: str = "") -> tuple[list[LogItem], Anchored | None]:
        """Return items, and the place behind what the server looked at; None where that is where it was."""
        wanted: dict[str, str | int] = {"format": "cloudevents", "limit": limit}
        if start:
            wanted["after"] = start - 1
        if query:
            wanted["q"] = query
        text, told = self._fetch("/v1/audit/stream", wanted)
        if text and not text.endswith(b"\n"):
            raise NotReadyError("the server's answer breaks off")
        items, at = [_item(line) for line in text.splitlines()], start
        for item in items:
            right = item.index == at if not query else at <= item.index < start + limit
            if not right or self._origin not in {None, item.origin}:
                raise TamperedError(f"the server gave entry {item.index} where {at} was asked for")
            self._origin, at = item.origin, item.index + 1
        behind = Anchored(items[-1].origin, at, items[-1].leaf_hash) if items else None
        if query:
            behind = _looked_at(told, start + limit, behind)
            if behind is not None and self._origin not in {None, behind.origin}:
                raise TamperedError("the server gave entries of another log than was asked for")
        return items, behind

    def _get(self, path: str, query: Mapping[str, str | int]) -> Mapping[str, object]:
        try:
            value = json.loads(self._fetch(path, query)[0])
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise NotReadyError("the server did not answer as a vault does")
        return value

    def _fetch(self, path: str, query: Mapping[str, str | int]) -> tuple[bytes, str]:
        """Return an answer, and what its head says of the range that it is of."""
        headers = {"Authorization": f"Bearer {self._server.key}", "Memvault-Purpose": "audit"}
        target = f"{self._server.url}{path}?{urlencode(query)}"
        try:
            # Its scheme was checked when the server was named.
            with self._opener.open(Request(target, headers=headers), timeout=SECONDS) as answer:  # noqa: S310
                text: bytes = answer.read(_MAX_ANSWER + 1)
                told = str(answer.headers.get(RANGE_HEADER, ""))
        except HTTPError as error:
            raise _refusal(error.code, _problem(error)) from None
        except (OSError, HTTPException) as error:
            raise NotReadyError(f"the server did not answer: {type(error).__name__}") from None
        if len(text) > _MAX_ANSWER:
            raise NotReadyError("the server's answer is too long")
        return text, told


def _looked_at(told: str, most: int, behind: Anchored | None) -> Anchored | None:
    """Return the place up to which a server says that nothing else fits; at least behind what it gave.

    Its word is all that there is for that: an entry that it leaves out is missed by whoever narrows a stream.
    """
    found = _RANGE.fullmatch(told)
    if found is None:
        raise NotReadyError("the server did not answer as a vault does")
    stop = int(found["stop"])
    if stop > most or (behind is not None and stop < behind.start):
        raise NotReadyError("the server did not answer as a vault does")
    return Anchored(found["log"], stop, bytes.fromhex(found["leaf"])) if found["leaf"] else behind


def _problem(error: HTTPError) -> bytes:
    with error, suppress(OSError, HTTPException):
        text: bytes = error.read(_MAX_PROBLEM)
        return text
    return b""


def _refusal(status: int, problem: bytes) -> Exception:
    if b"urn:memvault:problem:tampered" in problem:
        return TamperedError("the server says that its log is not what was written")
    known: dict[int, Exception] = {
        401: NotAuthenticatedError("the server does not know the API key"),
        403: DeniedError("the API key's principal may not read the log"),
    }
    return known.get(status, NotReadyError(f"the server answered {status}"))


def _item(line: bytes) -> LogItem:
    """Return the item that a line tells of, its leaf checked.

    Raises:
        TamperedError: it is not what its leaf says.
    """
    try:
        event = json.loads(line)
        content = event["data"]
        leaf = str(content["leaf"])
        header = parse_header(leaf)
        digest = sha256(b"\x00" + leaf.encode("ascii")).digest()
        payload = content["payload"]
        sieved = None if payload is None else outgoing(payload)
        found = LogItem(
            origin=str(event["source"]).removeprefix(_SOURCE),
            tree_size=int(event["treesize"]),
            index=int(event["leafindex"]),
            leaf_hash=digest,
            header=header,
            leaf=leaf,
            fields=None if sieved is None else sieved.fields,
            withheld=_whole(content["withheld"]) + (0 if sieved is None else sieved.withheld),
            erased_by=None if content["erased_by"] is None else _whole(content["erased_by"]),
        )
        same = (event["leafhash"], found.origin.rpartition("/")[2])
    except (MalformedError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TamperedError("the server gave a line that is no entry") from None
    if same != (digest.hex(), header.tenant):
        raise TamperedError(f"the server gave an entry {found.index} that is not what its leaf says")
    return found


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise NotReadyError("the server did not answer as a vault does")
    return value


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
