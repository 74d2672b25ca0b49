"""The doctor's examination: what is looked at, and what each finding means.

Owns the checks and their honest statuses. A check that could not be made says so; it never counts as
passed. It leaves the figures to `vault.administration` and the proof of the log to `audit.verify`.
"""

import shutil
import stat
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from api.assembly import memory_of, open_vault, vault_path
from api.cli.options import Caller
from api.cli.session import Session
from api.cli.shapes import CheckView, DoctorView
from api.problems import EXPECTED, Exit, detail_of, problem_of
from api.settings import Settings
from audit.query.examine import Examined
from policies.errors import DeniedError
from policies.model import Principal, Purpose
from vault.administration import Administration, Health
from vault.assurance import AssuranceStatus
from vault.bundles.pins import pinned
from vault.crypto.root import RootKind
from vault.errors import NotFoundError, StorageFullError, VaultInUseError
from vault.opening import Vault
from vault.roots import root_kind
from vault.storage.directory import VaultDirectory
from vault.witnessing import Standing

LOG_CHECK: Final = "log"
_LOW_SPACE: Final = 512 << 20
_NO_SPACE: Final = 16 << 20
_EXPECTED_PRAGMAS: Final = {
    "journal_mode": "wal",
    "synchronous": "2",  # FULL
    "secure_delete": "1",
    "foreign_keys": "1",
}


class Status(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNCHECKED = "could not check"


def diagnose(settings: Settings, caller: Caller) -> DoctorView:
    """Examine the vault that the settings mean."""
    checks = list(_examine(settings, caller))
    bad = {Status.FAILED.value, Status.UNCHECKED.value}
    return DoctorView(healthy=not any(check.status in bad for check in checks), checks=checks)


def exit_of(view: DoctorView) -> Exit:
    """Return how the command ends."""
    failed = {check.check for check in view.checks if check.status == Status.FAILED.value}
    if failed:
        return (
            Exit.VERIFICATION_FAILED if all(check.startswith(LOG_CHECK) for check in failed) else Exit.ERROR
        )
    return Exit.OK if view.healthy else Exit.NOT_CHECKED


def _examine(settings: Settings, caller: Caller) -> Iterator[CheckView]:
    path = vault_path(settings)
    yield _check("directory", lambda: _directory(path))
    yield _check("key file", lambda: _key_file(VaultDirectory(path)))
    yield _check("disk space", lambda: _space(path))
    try:
        vault = open_vault(settings)
    except VaultInUseError as error:
        yield _view("vault", Status.UNCHECKED, detail_of(error))
        return
    except EXPECTED as error:
        yield _view("vault", Status.FAILED, f"does not open: {detail_of(error)}")
        return
    with vault:
        yield _view("vault", Status.OK, "opens")
        yield _check("root", partial(_root, vault))
        yield _check("policy bundle", partial(_bundle, vault, settings))
        yield from _examine_open(Session(vault, settings, caller))


def _examine_open(session: Session) -> Iterator[CheckView]:
    named = session.caller.tenant or session.settings.tenant
    tenants = [named] if named else session.vault.parts.store.tenants()
    for tenant in tenants:
        label = "" if len(tenants) == 1 else f" of {tenant}"
        try:
            principal = session.principal_at(tenant)
            memory_of(session.vault, principal, Purpose.OPERATIONS)
            health = Administration(session.vault.parts).health(principal, Purpose.OPERATIONS)
        except EXPECTED as error:
            yield _view(f"health{label}", Status.UNCHECKED, detail_of(error))
            continue
        if tenant == tenants[0]:
            yield from store_of(health)
        yield from memories_of(health, label)
        yield _check(f"{LOG_CHECK}{label}", partial(_log, session.vault, principal))
        yield _check(f"query index{label}", partial(_query_index, session.vault, tenant))
    yield from outside_of(session.vault.parts.assurance.status)
    if not named:
        yield _check("intents", partial(_intents, session.vault))


_STANDINGS: Final = {
    Standing.COSIGNS: Status.OK,
    Standing.UNASKED: Status.WARNING,
    Standing.UNREACHABLE: Status.UNCHECKED,
    Standing.REFUSES: Status.FAILED,
    Standing.CONTRADICTS: Status.FAILED,
}


def outside_of(stands: AssuranceStatus) -> Iterator[CheckView]:
    """Judge how anchor, witnesses and time stamps stand."""
    if not stands.anchor.configured:
        yield _view("anchor", Status.WARNING, "none: an old copy that is put back would not show by it")
    elif not stands.anchor.usable:
        yield _view("anchor", Status.FAILED, stands.anchor.reason)
    else:
        lines = stands.anchor.damaged
        told = f"{lines} lines are no record: torn by a crash, or garbled" if lines else "every line is whole"
        yield _view("anchor", Status.WARNING if lines else Status.OK, told)
    for lost in stands.missing:
        yield _view("outside", Status.WARNING, lost)
    for one in stands.witnesses:
        told = f"{one.standing.value}{': ' + one.reason if one.reason else ''}"
        yield _view(f"{LOG_CHECK} witness {one.name}", _STANDINGS[one.standing], told)
    stamps = stands.time_stamps
    if stamps is not None:
        told = stamps.reason or (
            f"the last at {stamps.time:%Y-%m-%d %H:%M:%S}" if stamps.time else "none yet"
        )
        yield _view("time stamps", Status.UNCHECKED if stamps.reason else Status.OK, told)


def _check(name: str, examine: Callable[[], tuple[Status, str]]) -> CheckView:
    """Make one check; an error of ours is its failure, a denial is that it could not be made."""
    try:
        status, detail = examine()
    except DeniedError as error:
        return _view(name, Status.UNCHECKED, detail_of(error))
    except EXPECTED as error:
        return _view(name, Status.FAILED, f"{problem_of(type(error)).title}: {detail_of(error)}")
    except OSError as error:
        return _view(name, Status.UNCHECKED, error.strerror or "the system refused")
    return _view(name, status, detail)


def _view(name: str, status: Status, detail: str) -> CheckView:
    return CheckView(check=name, status=status.value, detail=detail)


def _directory(path: Path) -> tuple[Status, str]:
    if not path.is_dir():
        raise NotFoundError("there is no vault here: make one with `memvault init`")
    directory = VaultDirectory(path)
    private = (
        path,
        directory.rows,
        directory.keys,
        directory.root_key,
        directory.root_transit,
        directory.log_key,
    )
    for entry in private:
        if (
            entry.exists()
            and stat.S_IMODE(entry.stat().st_mode) & 0o077
            and entry in (path, directory.root_key, directory.root_transit, directory.log_key)
        ):
            return (
                Status.FAILED,
                f"{entry.name} is open to others: mode {stat.S_IMODE(entry.stat().st_mode):04o}",
            )
    return Status.OK, f"mode {stat.S_IMODE(path.stat().st_mode):04o}"


def _key_file(directory: VaultDirectory) -> tuple[Status, str]:
    kind = root_kind(directory)
    if kind is RootKind.FILE:
        return Status.WARNING, "the root key lies in a file beside the data; a passphrase would protect it"
    if kind is RootKind.TRANSIT:
        return Status.OK, "the root is a transit key on a server"
    return Status.OK, "protected by a passphrase"


def _root(vault: Vault) -> tuple[Status, str]:
    root = vault.parts.sealers.root
    health = root.health()
    if health.fault is not None:
        raise health.fault
    told = f"{root.kind.value} {root.fingerprint} opens what it wrapped"
    return (Status.WARNING, "; ".join(health.notes)) if health.notes else (Status.OK, told)


def _bundle(vault: Vault, settings: Settings) -> tuple[Status, str]:
    """Judge the bundle that the vault opened with: which version, whether anything is pinned and somebody signed it."""
    identity, pin = vault.parts.bundle.identity, pinned(vault.parts)
    named = "no version" if identity is None else f"{identity.name} version {identity.version}"
    held = "nothing is pinned" if pin is None else f"{pin.version} is pinned"
    signed = "nobody has to sign it" if settings.policy_keys is None else "signed"
    told = f"{named}; {held}; {signed}"
    if vault.policy_differs:
        return (
            Status.WARNING,
            f"{told}; other files lie in the folder than are in force: restart, or reload them",
        )
    return Status.OK, told


def _space(path: Path) -> tuple[Status, str]:
    free = shutil.disk_usage(path).free
    if free < _NO_SPACE:
        raise StorageFullError(f"{free >> 20} MiB are free")
    return (Status.WARNING if free < _LOW_SPACE else Status.OK), f"{free >> 20} MiB are free"


def store_of(health: Health) -> Iterator[CheckView]:
    """Judge the figures of the store as a whole."""
    same = health.schema == health.schema_expected
    yield _view("schema", Status.OK if same else Status.FAILED, health.schema)
    wrong = [f"{name}={value}" for name, value in health.pragmas if _EXPECTED_PRAGMAS[name] != value]
    shown = wrong or [f"{name}={value}" for name, value in health.pragmas]
    yield _view("durability", Status.FAILED if wrong else Status.OK, ", ".join(shown))
    # SQLite's lines name pages and tables, never values.
    damage = f"{len(health.damage)} findings: restore from a snapshot" if health.damage else "sound"
    yield _view("store", Status.FAILED if health.damage else Status.OK, damage)
    yield _view("policy", Status.OK, health.policy)


def memories_of(health: Health, label: str) -> Iterator[CheckView]:
    """Judge the figures of one tenant's memories."""
    missing = health.rows - health.unreadable_count - health.indexed
    behind = f"{health.indexed} of {health.rows} memories can be found"
    if health.index_stale:
        yield _view(f"index{label}", Status.WARNING, f"{behind}; the next search builds it anew first")
    else:
        yield _view(f"index{label}", Status.FAILED if missing else Status.OK, behind)
    named = ", ".join(health.unreadable)
    yield _view(
        f"rows{label}",
        Status.FAILED if health.unreadable_count else Status.OK,
        f"{health.unreadable_count} cannot be opened: {named}" if health.unreadable_count else "all open",
    )
    misnamed = ", ".join(health.misnamed)
    yield _view(
        f"subjects{label}",
        Status.FAILED if health.misnamed_count else Status.OK,
        f"{health.misnamed_count} not as written: {misnamed}"
        if health.misnamed_count
        else "every name is that of its id",
    )
    waiting = health.rows - health.vectors
    yield _view(
        f"dense vectors{label}",
        Status.WARNING if waiting else Status.OK,
        f"{waiting} of {health.rows} memories have none yet; words find them" if waiting else "complete",
    )


def _intents(vault: Vault) -> tuple[Status, str]:
    found = vault.unmatched_intents()
    if not found:
        return Status.OK, "every effect outside the database has its outcome"
    named = ", ".join(
        f"{log}[{intent.index}] {intent.kind}" for log, left in found.items() for intent in left
    )
    return Status.WARNING, f"nobody knows what became of: {named}; see memvault audit intents"


def _query_index(vault: Vault, tenant: str) -> tuple[Status, str]:
    return judged_index(vault.parts.log_indexes.examine(tenant))


def judged_index(found: Examined | None) -> tuple[Status, str]:
    """Judge the derived index of a log, which may be deleted at any time."""
    if found is None:
        return Status.OK, "none: the first question to the log makes it"
    told = f"{found.reached} entries, {found.size_bytes >> 10} KiB"
    if found.problem:
        return Status.FAILED, f"{found.problem}; delete it in log-index/, the next question makes it anew"
    if found.mode & 0o077:
        return Status.FAILED, f"{told}; it is open to others: mode {found.mode:04o}"
    return Status.OK, f"{told}, as the log has them"


def _log(vault: Vault, principal: Principal) -> tuple[Status, str]:
    report = memory_of(vault, principal, Purpose.AUDIT).verify()
    last = report.log.logs[-1]
    if not report.passed:
        findings = (*report.log.findings, *report.row_findings)
        return Status.FAILED, f"{len(findings)} findings, the first: {findings[0]}"
    return Status.OK, f"{last.size} entries, {last.signed_size} signed, {report.rows_checked} rows agree"
