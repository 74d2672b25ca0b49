"""A tenant's log as C2SP tlog-tiles shows it, for monitors: checkpoint, tiles of hashes, entry bundles.

Owns who may read them, which of them are shown, and the entries that tell of it. It leaves paths and
framing to `audit.tiles`, a folder of them to `audit.tile_export`, and HTTP to the edge.

What is shown is what the latest stored checkpoint covers: no hash and no header before it is signed. No
payload is ever in it. Each request is decided anew, and a denial is an entry; but what is allowed is one
entry for each reader and hour, before the first answer of that hour leaves, and not one for each tile:
a monitor that follows a silent log must not be what makes it grow (docs/adr/0011).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.checkpoint import SignedCheckpoint
from audit.errors import MalformedError, TileFolderError, TileMalformedError, VerificationError
from audit.event import EventType
from audit.tile_export import ExportedTiles, export_tiles
from audit.tiles import TILE_WIDTH, TileAddress, parse_tile_path, tile_width
from policies.model import Principal, Purpose
from vault.auditing import LOG_RESOURCE, AuditView
from vault.errors import ConflictError, NotFoundError, StorageError, TamperedError
from vault.grant import Grant
from vault.parts import Parts

CHECKPOINT: Final = "checkpoint"
FORMAT: Final = "c2sp.org/tlog-tiles"


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the public form of a log."""

    content: bytes
    is_text: bool
    """A note; else bytes."""
    is_final: bool
    """What lies at its path never changes."""


class LogTiles(AuditView):
    """The public form of one principal's tenant's log."""

    def read(self, principal: Principal, purpose: Purpose, path: str) -> LogFile:
        """Return the file at `checkpoint`, `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            NotFoundError: nothing lies at this path, or nothing is signed there yet.
            TamperedError: the log is damaged.
        """
        grant = self._authorise(principal, purpose)
        readers = self._parts.tile_readers
        if not readers.is_entered(grant):
            self._parts.journal.note(grant, {"format": FORMAT}, resource=LOG_RESOURCE)
            readers.enter(grant)
            self._sign_first(grant)
        with self._parts.store.log_connection(grant.tenant) as connection:
            try:
                return self._file(connection, grant.tenant, path)
            except TileMalformedError as error:
                raise NotFoundError("nothing of the log lies at this path") from error
            except (VerificationError, MalformedError) as error:
                raise TamperedError(str(error)) from None

    def export(self, principal: Principal, purpose: Purpose, folder: Path) -> ExportedTiles:
        """Write what is new since the last time into a folder of files; see `audit.tile_export`.

        The log is signed as it stands first, with the entry of the export under that signature.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            ConflictError: the folder holds something else, or a history that this log does not extend.
            StorageError: the folder cannot be read or written.
            TamperedError: the log is damaged.
        """
        grant = self._authorise(principal, purpose)
        parts, tenant = self._parts, grant.tenant
        payload: dict[str, JsonValue] = {"export": True, "format": FORMAT}
        parts.journal.note(grant, payload, resource=LOG_RESOURCE, event=EventType.AUDIT_EXPORT)
        self._sign(tenant, grant.bundle_digest)
        verifiers = [key.for_log(tenant) for key in parts.log.keys.verifiers]
        with parts.store.log_connection(tenant) as connection:
            try:
                signed = self._signed(connection, tenant)
                note = parts.log.cosigned(connection, tenant, signed)
                source = _Rows(parts, connection, tenant)
                return export_tiles(folder, signed.checkpoint, note, source, verifiers)
            except TileFolderError as error:
                raise ConflictError(str(error)) from None
            except VerificationError as error:
                raise TamperedError(str(error)) from None
            except OSError as error:
                raise StorageError(f"the folder of tiles: {error.strerror}") from None

    def _sign_first(self, grant: Grant) -> None:
        """Sign a log that never was, so that its first reader need not wait for the checkpointer."""
        with self._parts.store.log_connection(grant.tenant) as connection:
            is_signed = bool(self._parts.log.checkpoints(connection, grant.tenant))
        if not is_signed:
            self._sign(grant.tenant, grant.bundle_digest)

    def _file(self, connection: Connection, tenant: str, path: str) -> LogFile:
        signed = self._signed(connection, tenant)
        if path == CHECKPOINT:
            note = self._parts.log.cosigned(connection, tenant, signed)
            return LogFile(note, is_text=True, is_final=False)
        address = parse_tile_path(path)
        if tile_width(address.level or 0, address.index, signed.checkpoint.size) < address.width:
            raise NotFoundError("nothing of the log lies at this path")
        content = _Rows(self._parts, connection, tenant).content(address)
        return LogFile(content, is_text=False, is_final=address.width == TILE_WIDTH)

    def _signed(self, connection: Connection, tenant: str) -> SignedCheckpoint:
        signed = self._parts.log.latest_checkpoint(connection, tenant)
        if signed is None:
            raise NotFoundError("the log was never signed")
        return signed


class _Rows:
    """What lies at an address, from the log's tables."""

    def __init__(self, parts: Parts, connection: Connection, tenant: str) -> None:
        self._log = parts.log
        self._connection = connection
        self._tenant = tenant

    def content(self, address: TileAddress) -> bytes:
        """Return a tile's hashes or a bundle's entries."""
        place = (self._connection, self._tenant)
        if address.level is None:
            return self._log.entry_bundle(*place, address.index, address.width)
        return self._log.tile(*place, address.level, address.index, address.width)
