"""A small vault on disk with two tenants and one principal of each kind, and an eye on its raw files.

Owns opening, crashing and reopening it, and looking at rows and log behind the facade's back: what a
test asserts about state is read with plain `sqlite3`, never through the code under test.
"""

import json
import shutil
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, cast

from sqlalchemy import Connection, NullPool, create_engine

from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import FrozenClock, fake_options
from vault.memos import MemOS
from vault.opening import LocalRootWarning, Vault, VaultOptions

CLINIC: Final = "clinic"
BANK: Final = "bank"


def person(name: str, *roles: Role, tenant: str = CLINIC) -> Principal:
    """Return a principal."""
    return Principal(name, tenant, frozenset(roles))


OWNER: Final = person("agent-1", Role.OWNER_AGENT)
OTHER_OWNER: Final = person("agent-2", Role.OWNER_AGENT)
MEMBER: Final = person("desk-1", Role.MEMBER)
CLINICIAN: Final = person("dr-a", Role.CLINICIAN)
ADVISER: Final = person("adviser-a", Role.ADVISER)
AUDITOR: Final = person("auditor-a", Role.AUDITOR)
ADMINISTRATOR: Final = person("admin-a", Role.ADMINISTRATOR)
OFFICER: Final = person("officer-a", Role.PRIVACY_OFFICER)
SECOND_OFFICER: Final = person("officer-b", Role.PRIVACY_OFFICER)
SERVICE: Final = person("job-1", Role.SERVICE)
STRANGER: Final = person("agent-1", Role.OWNER_AGENT, Role.CLINICIAN, tenant=BANK)
"""Has the owner's very id, and more roles, at another tenant."""
BANK_AUDITOR: Final = person("auditor-b", Role.AUDITOR, tenant=BANK)


@dataclass(frozen=True, slots=True)
class RawEntry:
    """An entry of the log as it lies in the file."""

    index: int
    event: str
    principal: str
    decision: str
    outcome: str
    purpose: str | None
    resource: str | None
    payload: dict[str, object]
    """Without what was asked, which every decision says."""
    asked: str | None = None


def make_template(path: Path) -> Path:
    """Make a vault with both tenants and close it; copies of it open in a few milliseconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        with Vault.create(path, tenant=CLINIC, options=fake_options()) as vault:
            vault.add_tenant(BANK)
    return path


class Clinic:
    """A vault in a directory of its own.

    Args:
        template: The closed vault to start from.
        path: Where the copy goes.
        options: For opening; None takes fakes and a clock that goes on a second a call.
    """

    def __init__(self, template: Path, path: Path, options: VaultOptions | None = None) -> None:
        shutil.copytree(template, path)
        self.path = path
        self.options = options or fake_options(clock=FrozenClock(step=timedelta(milliseconds=10)))
        self.vault = Vault.open(path, options=self.options)

    def reopen(self, options: VaultOptions | None = None) -> "Clinic":
        """Close and open again."""
        self.vault.close()
        self.options = options or self.options
        self.vault = Vault.open(self.path, options=self.options)
        return self

    def close(self) -> None:
        """Close the vault."""
        self.vault.close()

    def mem(self, principal: Principal, purpose: Purpose = Purpose.TREATMENT) -> MemOS:
        """Return one principal's view."""
        return MemOS(self.vault, principal=principal, purpose=purpose)

    def audit(self, tenant: str = CLINIC) -> MemOS:
        """Return an auditor's view."""
        return self.mem(AUDITOR if tenant == CLINIC else BANK_AUDITOR, Purpose.AUDIT)

    def log(self, tenant: str = CLINIC) -> list[RawEntry]:
        """Return all entries of a log, read from the file."""
        rows = self.sql(
            "SELECT leaf_index, header, payload FROM audit_leaf WHERE tenant_id = ? ORDER BY leaf_index",
            tenant,
        )
        return [_raw(cast("int", row[0]), str(row[1]), cast("str | None", row[2])) for row in rows]

    def last(self, tenant: str = CLINIC) -> RawEntry:
        """Return the newest entry of a log."""
        return self.log(tenant)[-1]

    def count(self, table: str, where: str = "1") -> int:
        """Count rows of a table."""
        return cast("int", self.sql(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])  # noqa: S608

    def sql(self, statement: str, *values: object, file: str = "vault.db") -> list[tuple[object, ...]]:
        """Run a statement on the file itself, as whoever owns the disk can."""
        with closing(sqlite3.connect(self.path / file)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def without_wall(self) -> Iterator[Connection]:
        """Lend a connection of its own, with the store's tables and no tenant wall in the database.

        Never the store's own for writing: that is one, and the vault's threads begin transactions on it.
        """
        engine = create_engine(f"sqlite:///{self.path / 'vault.db'}", poolclass=NullPool)
        with engine.connect() as connection:
            yield connection

    def state(self) -> dict[str, int]:
        """Count the rows of every table of content."""
        return {
            table: self.count(table)
            for table in ("subject", "episode", "memory", "memory_subject", "embedding", "edge")
        }


def _raw(index: int, header: str, payload: str | None) -> RawEntry:
    fields, told = json.loads(header), {} if payload is None else json.loads(payload)
    return RawEntry(
        index=index,
        event=fields["event"],
        principal=fields["principal"],
        decision=fields["decision"],
        outcome=fields["outcome"],
        purpose=fields["purpose"],
        resource=fields["resource"],
        payload={key: value for key, value in told.items() if key != "asked"},
        asked=told.get("asked"),
    )
