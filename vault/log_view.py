"""The log's part of the facade: what an integrator asks of one principal's log.

Owns the methods by which `vault.memos.MemOS` shows, proves, exports, follows and searches the log; whoever
holds a `MemOS` calls them there. Each decides and logs in the part that it calls: reading to `vault.auditing`,
exports to `vault.log_exports`, tiles to `vault.log_tiles`, questions to `vault.log_queries`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from audit.proof import TlogProof
from audit.query.count import Unit
from audit.tile_export import ExportedTiles
from policies.model import Principal, Purpose
from vault.auditing import LogEntry, LogReport, ReceiptProof, TenantCheckpoint
from vault.bundles.following import Following
from vault.finality import Finality, finality_of
from vault.log_exports import Exported, ExportTerms, LogExports
from vault.log_queries import LogFacets, LogHistogram, LogQueries, QueryPage
from vault.log_stream import Anchored, LogStream, LogStreams, StreamRequest
from vault.log_tiles import LogFile, LogTiles
from vault.model import Receipt
from vault.parts import Parts


class _LogPaths:
    """What the methods call, under one bundle."""

    def __init__(self, parts: Parts) -> None:
        self.parts: Final = parts
        self.audit: Final = LogExports(parts)
        self.queries: Final = LogQueries(parts)


class LogView:
    """One principal's view of its tenant's log.

    Args:
        current: Returns the parts in force of an open vault.
        principal: Who calls, as the edge has authenticated it.
    """

    def __init__(self, current: Callable[[], Parts], principal: Principal) -> None:
        self._principal = principal
        self._log = Following(current, _LogPaths)

    @property
    def _parts(self) -> Parts:
        return self._log.now().parts

    @property
    def _audit(self) -> LogExports:
        return self._log.now().audit

    @property
    def _queries(self) -> LogQueries:
        return self._log.now().queries

    def entries(
        self, *, start: int | None = None, limit: int = 50, purpose: Purpose = Purpose.AUDIT
    ) -> list[LogEntry]:
        """Return entries of the tenant's log, oldest first; without `start` the last ones. Reading is an entry, too.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
        """
        return self._audit.entries(self._principal, purpose, start=start, limit=limit)

    def checkpoint(self, *, purpose: Purpose = Purpose.AUDIT) -> TenantCheckpoint:
        """Sign the tenant's log as it stands.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
        """
        return self._audit.checkpoint(self._principal, purpose)

    def prove(self, receipt: Receipt) -> ReceiptProof:
        """Prove that a receipt's entry stands in the signed log; `vault.auditing.verify_receipt` checks it.

        Raises:
            NotFoundError: this log has no such entry.
        """
        return self._audit.prove(self._principal, receipt)

    def finality(self, receipt: Receipt) -> Finality:
        """Return what a receipt is worth now: pending, signed or final, and what is missing.

        Whoever holds the receipt knows the entry's hash; no decision is asked for.

        Raises:
            NotFoundError: the principal's log has no such entry.
        """
        parts = self._parts
        return finality_of(
            parts.store,
            parts.log,
            parts.assurance,
            tenant=self._principal.tenant,
            index=receipt.leaf_index,
            leaf_hash=receipt.leaf_hash,
        )

    def verify(self, *, purpose: Purpose = Purpose.AUDIT) -> LogReport:
        """Recompute the tenant's whole log and compare it with its rows and checkpoints.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
        """
        return self._audit.verify(self._principal, purpose)

    def export(
        self, file: BinaryIO, terms: ExportTerms | None = None, *, purpose: Purpose = Purpose.AUDIT
    ) -> Exported:
        """Write the tenant's log, or a range of it, as an evidence bundle for `memvault audit verify`.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            InputInvalidError: the range is not one of the log's.
        """
        return self._audit.export(self._principal, purpose, file, terms)

    def prove_entry(self, index: int, *, payload: bool = True, purpose: Purpose = Purpose.AUDIT) -> TlogProof:
        """Return the proof of one entry of the tenant's log, to be kept or shown as a C2SP tlog-proof.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            NotFoundError: the log has no such entry.
        """
        return self._audit.prove_entry(self._principal, purpose, index, payload=payload)

    def stream(
        self,
        asked: StreamRequest,
        after: Anchored | None = None,
        *,
        version: str = "0",
        purpose: Purpose = Purpose.AUDIT,
    ) -> LogStream:
        """Return a stream of the tenant's log for a system that watches it; each range that leaves is an entry.

        Args:
            asked: Which part, and in which form.
            after: Where an earlier stream stopped.
            version: Of this program, for formats that carry it.
            purpose: Why.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            TamperedError: the log is not the one that the earlier stream was of.
        """
        return LogStreams(self._parts, version).open(self._principal, purpose, asked, after)

    def log_file(self, path: str, *, purpose: Purpose = Purpose.AUDIT) -> LogFile:
        """Return what lies at a path of the log's public form (C2SP tlog-tiles), as far as it is signed.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            NotFoundError: nothing lies there.
            TamperedError: the log is damaged.
        """
        return LogTiles(self._parts).read(self._principal, purpose, path)

    def export_tiles(self, folder: Path, *, purpose: Purpose = Purpose.AUDIT) -> ExportedTiles:
        """Write what is new of the log into a folder of its public form.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            ConflictError: the folder holds something else, or a history that this log does not extend.
            StorageError: the folder cannot be read or written.
            TamperedError: the log is damaged.
        """
        return LogTiles(self._parts).export(self._principal, purpose, folder)

    def query_log(
        self,
        text: str,
        *,
        size: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
        purpose: Purpose = Purpose.AUDIT,
    ) -> QueryPage:
        """Return the entries of the tenant's log that fit a query, newest first; asking is an entry, too.

        Args:
            text: A query as `docs/log/queries.md` has it; empty asks for every entry.
            size: Tree size to ask; None is the present. The same query and size show the same rows for ever.
            cursor: From the last page, for the next one.
            limit: How many, 1 to 1,000.
            oldest_first: The other order; a cursor keeps its own.
            purpose: Why.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            QueryInvalidError: the text is no query; it says where.
            RangeInvalidError: the log never had this size, or the cursor is not of this query.
            InputInvalidError: `limit` is out of range.
            LogIndexBehindError: the index does not reach far enough yet.
        """
        return self._queries.query(
            self._principal, purpose, text, size=size, cursor=cursor, limit=limit, oldest_first=oldest_first
        )

    def log_facets(
        self, text: str, *, size: int | None = None, purpose: Purpose = Purpose.AUDIT
    ) -> LogFacets:
        """Count the entries that fit a query, by the values of each field.

        Raises:
            DeniedError, QueryInvalidError, RangeInvalidError: as for `query_log`.
        """
        return self._queries.facets(self._principal, purpose, text, size=size)

    def log_histogram(
        self,
        text: str,
        *,
        size: int | None = None,
        unit: Unit | None = None,
        purpose: Purpose = Purpose.AUDIT,
    ) -> LogHistogram:
        """Count the entries that fit a query over time; without a unit, in at most 60 buckets.

        Raises:
            DeniedError, QueryInvalidError, RangeInvalidError: as for `query_log`.
        """
        return self._queries.histogram(self._principal, purpose, text, size=size, unit=unit)
