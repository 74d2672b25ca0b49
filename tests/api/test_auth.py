"""API keys: shown once, verified slowly, remembered shortly, counted when wrong."""

import base64
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.auth import Argon2Cost, Attempts, Authenticator, _verifier, issue_key
from api.errors import AttemptsExceededError, NotAuthenticatedError
from audit.evidence import SYSTEM_LOG
from policies.errors import DeniedError
from policies.model import Principal, Purpose, Role
from tests.api.conftest import CHEAP, TENANT
from vault.administration import Administration
from vault.clock import system_entropy
from vault.credentials import Credential, Credentials
from vault.errors import ConflictError, NotFoundError, TamperedError
from vault.memos import MemOS
from vault.opening import Vault

ADMINISTRATOR = Principal("admin-a", TENANT, frozenset({Role.ADMINISTRATOR}))
AGENT = Principal("agent-1", TENANT, frozenset({Role.OWNER_AGENT, Role.SERVICE}))
HERE = "127.0.0.1"


class Ticks:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def credentials(vault: Vault) -> Credentials:
    return Credentials(vault.parts)


@pytest.fixture
def key(credentials: Credentials) -> str:
    return issue_key(credentials, AGENT, system_entropy, cost=CHEAP)


@pytest.fixture
def authenticator(credentials: Credentials, ticks: Ticks) -> Authenticator:
    return Authenticator(
        credentials, system_entropy, ticks, remembered_seconds=60, remembered_keys=2, failures=3, cost=CHEAP
    )


def _credential(key: str) -> str:
    return f"crd_{key.split('_')[1]}"


@pytest.fixture
def database(vault: Vault, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The file itself, as whoever owns the disk has it."""
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db", isolation_level=None)) as connection:
        yield connection


def _events(vault: Vault) -> list[tuple[str, str, str, str]]:
    auditor = MemOS(vault, principal=Principal("a", TENANT, frozenset({Role.AUDITOR})), purpose=Purpose.AUDIT)
    entries = auditor.entries(limit=1000)
    return [
        (
            entry.header.event.value,
            entry.header.decision.value,
            entry.header.principal,
            entry.header.resource or "",
        )
        for entry in entries
        if entry.header.event.value.startswith("principal.")
    ]


def test_a_key_stands_for_the_principal_it_was_made_for(authenticator: Authenticator, key: str) -> None:
    assert authenticator.authenticate(f"Bearer {key}", HERE) == AGENT


def test_making_and_using_a_key_are_entries(vault: Vault, authenticator: Authenticator, key: str) -> None:
    authenticator.authenticate(f"bearer {key}", HERE)
    credential = f"crd_{key.split('_')[1]}"
    assert _events(vault) == [
        ("principal.create", "allowed", "memvault", credential),
        ("principal.login", "allowed", "agent-1", credential),
    ]


def test_who_made_a_key_stands_in_its_entry(vault: Vault, credentials: Credentials) -> None:
    issue_key(credentials, AGENT, system_entropy, by="operator", cost=CHEAP)
    assert _events(vault)[0][2] == "operator"


def test_no_key_and_no_secret_is_kept(vault: Vault, key: str, tmp_path: Path) -> None:
    secret = key.rpartition("_")[2].encode()
    assert all(secret not in file.read_bytes() for file in (tmp_path / "vault").iterdir() if file.is_file())
    stored = Credentials(vault.parts).find(_credential(key))
    assert stored is not None
    assert stored.verifier.startswith(b"$argon2id$")


def test_keys_differ_and_have_256_random_bits(credentials: Credentials) -> None:
    keys = [issue_key(credentials, AGENT, system_entropy, cost=CHEAP) for _ in range(3)]
    assert len(set(keys)) == 3
    for key in keys:
        assert re.fullmatch(r"mv_[0-9a-z]{26}_[a-z2-7]{52}", key)
        assert len(base64.b32decode(key.rpartition("_")[2].upper() + "====")) == 32


def test_the_default_cost_is_not_a_cheap_one() -> None:
    assert Argon2Cost() == Argon2Cost(memory_kib=19 * 1024, iterations=2, lanes=1)


def _wrong(key: str) -> Iterator[str | None]:
    head, _, secret = key.rpartition("_")
    yield None
    yield ""
    yield key
    yield f"Basic {key}"
    yield "Bearer "
    yield f"Bearer {key}x"
    yield f"Bearer {key[:-1]}{'a' if key[-1] != 'a' else 'b'}"
    yield f"Bearer {head}_{secret.upper()}"
    yield f"Bearer mv_{'0' * 26}_{secret}"
    yield f"Bearer {key}\n{key}"
    yield "Bearer mv__"
    yield f"Bearer {key.replace('mv_', 'mw_')}"


def test_whatever_is_not_the_key_is_refused_in_the_same_words(
    credentials: Credentials, ticks: Ticks, key: str
) -> None:
    authenticator = Authenticator(credentials, system_entropy, ticks, failures=100, cost=CHEAP)
    for header in _wrong(key):
        assert authenticator.remembered(header) is None
        with pytest.raises(NotAuthenticatedError, match="API key") as caught:
            authenticator.authenticate(header, HERE)
        assert key[-20:] not in str(caught.value)
    assert authenticator.authenticate(f"Bearer {key}", HERE) == AGENT


def test_a_wrong_secret_is_a_denied_entry_and_an_unknown_credential_is_none(
    vault: Vault, authenticator: Authenticator, key: str
) -> None:
    other = "a" if key[-1] != "a" else "b"
    for wrong in (key[:-1] + other, f"mv_{'0' * 26}_{'a' * 52}"):
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(f"Bearer {wrong}", HERE)
    assert [event[:3] for event in _events(vault)] == [
        ("principal.create", "allowed", "memvault"),
        ("principal.login", "denied", "agent-1"),
    ]


def test_a_verified_key_is_remembered_until_its_time_is_over(
    vault: Vault, authenticator: Authenticator, ticks: Ticks, key: str
) -> None:
    assert authenticator.remembered(f"Bearer {key}") is None
    authenticator.authenticate(f"Bearer {key}", HERE)
    ticks.now += 59
    assert authenticator.remembered(f"Bearer {key}") == AGENT
    assert authenticator.remembered(f"Bearer {key[:-1]}") is None
    ticks.now += 1
    assert authenticator.remembered(f"Bearer {key}") is None
    assert len(_events(vault)) == 2, "a remembered key makes no further entry"


def test_only_so_many_keys_are_remembered(credentials: Credentials, authenticator: Authenticator) -> None:
    keys = [issue_key(credentials, AGENT, system_entropy, cost=CHEAP) for _ in range(3)]
    for key in keys:
        authenticator.authenticate(f"Bearer {key}", HERE)
    assert [authenticator.remembered(f"Bearer {key}") for key in keys] == [None, AGENT, AGENT]


def test_nothing_is_remembered_where_settings_say_so(
    credentials: Credentials, ticks: Ticks, key: str
) -> None:
    authenticator = Authenticator(credentials, system_entropy, ticks, remembered_seconds=0, cost=CHEAP)
    authenticator.authenticate(f"Bearer {key}", HERE)
    assert authenticator.remembered(f"Bearer {key}") is None


def test_wrong_keys_cost_their_sender_a_wait_and_nobody_else(
    authenticator: Authenticator, ticks: Ticks, key: str
) -> None:
    wrong = f"Bearer {key[:-1]}{'a' if key[-1] != 'a' else 'b'}"
    for _ in range(3):
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(wrong, HERE)
        ticks.now += 10
    with pytest.raises(AttemptsExceededError) as caught:
        authenticator.authenticate(f"Bearer {key}", HERE)
    assert caught.value.retry_after == 30
    assert authenticator.authenticate(f"Bearer {key}", "10.0.0.1") == AGENT
    ticks.now += 30
    assert authenticator.authenticate(f"Bearer {key}", HERE) == AGENT


def test_wrong_keys_of_others_at_the_same_address_do_not_lock_a_valid_key_out(
    credentials: Credentials, authenticator: Authenticator, key: str
) -> None:
    neighbour = issue_key(credentials, AGENT, system_entropy, cost=CHEAP)
    wrong = f"Bearer {neighbour[:-1]}{'a' if neighbour[-1] != 'a' else 'b'}"
    for _ in range(3):
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(wrong, HERE)
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(f"Bearer mv_{'0' * 26}_{'a' * 52}", HERE)
    assert authenticator.authenticate(f"Bearer {key}", HERE) == AGENT


def test_unknown_credentials_of_one_address_are_counted_together(authenticator: Authenticator) -> None:
    for digit in "012":
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(f"Bearer mv_{digit * 26}_{'a' * 52}", HERE)
    with pytest.raises(AttemptsExceededError):
        authenticator.authenticate(f"Bearer mv_{'3' * 26}_{'a' * 52}", HERE)


def test_missing_keys_are_not_counted(authenticator: Authenticator, key: str) -> None:
    for _ in range(10):
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(None, HERE)
    assert authenticator.authenticate(f"Bearer {key}", HERE) == AGENT


def test_counting_is_bounded_however_many_addresses_there_are(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.auth._MAX_SENDERS", 5)
    attempts = Attempts(1, ticks)
    for number in range(50):
        attempts.note((f"10.0.0.{number}", ""))
    attempts.check(("10.0.0.0", ""))
    with pytest.raises(AttemptsExceededError):
        attempts.check(("10.0.0.49", ""))
    assert len(attempts._failed) == 5


def test_many_threads_may_show_one_key(authenticator: Authenticator, key: str) -> None:
    found: list[Principal] = []
    threads = [
        threading.Thread(target=lambda: found.append(authenticator.authenticate(f"Bearer {key}", HERE)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [AGENT] * 8


def test_a_key_that_was_taken_back_is_refused_at_once_though_it_was_remembered(
    vault: Vault, authenticator: Authenticator, credentials: Credentials, key: str
) -> None:
    other = issue_key(credentials, AGENT, system_entropy, cost=CHEAP)
    assert authenticator.authenticate(f"Bearer {key}", "here") == AGENT
    assert authenticator.remembered(f"Bearer {key}") == AGENT
    administration = Administration(vault.parts)
    done = administration.revoke(ADMINISTRATOR, Purpose.OPERATIONS, _credential(key))
    assert (done.credential_id, done.principal) == (_credential(key), AGENT.id)
    assert authenticator.remembered(f"Bearer {key}") is None
    with pytest.raises(NotAuthenticatedError):
        authenticator.authenticate(f"Bearer {key}", "here")
    assert authenticator.authenticate(f"Bearer {other}", "here") == AGENT
    left = administration.credentials(ADMINISTRATOR, Purpose.OPERATIONS)
    assert [one.id for one in left] == [_credential(other)]


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMINISTRATOR}))
def test_nobody_but_an_administrator_takes_a_key_back_or_sees_whose_there_are(
    vault: Vault, credentials: Credentials, key: str, role: Role
) -> None:
    administration = Administration(vault.parts)
    caller = Principal("caller", TENANT, frozenset({role}))
    with pytest.raises(DeniedError):
        administration.revoke(caller, Purpose.OPERATIONS, _credential(key))
    with pytest.raises(DeniedError):
        administration.credentials(caller, Purpose.OPERATIONS)
    assert credentials.find(_credential(key)) is not None


def test_an_administrator_of_another_tenant_neither_sees_nor_takes_back_a_key(
    vault: Vault, credentials: Credentials, key: str
) -> None:
    vault.add_tenant("bank")
    stranger = Principal("admin-b", "bank", frozenset({Role.ADMINISTRATOR}))
    administration = Administration(vault.parts)
    assert administration.credentials(stranger, Purpose.OPERATIONS) == ()
    with pytest.raises(NotFoundError):
        administration.revoke(stranger, Purpose.OPERATIONS, _credential(key))
    assert credentials.find(_credential(key)) is not None


def test_a_credential_of_an_unknown_tenant_is_refused(credentials: Credentials) -> None:
    with pytest.raises(NotFoundError):
        issue_key(
            credentials, Principal("a", "elsewhere", frozenset({Role.SERVICE})), system_entropy, cost=CHEAP
        )


def test_a_credential_id_is_taken_once(credentials: Credentials) -> None:
    credential = Credential(credentials.reserve_id(), AGENT, b"v")
    credentials.add(credential)
    with pytest.raises(ConflictError):
        credentials.add(credential)


CHANGES = {
    "another role": "UPDATE credential SET roles = 'clinician'",
    "one more role": "UPDATE credential SET roles = roles || ' clinician'",
    "no role that there is": "UPDATE credential SET roles = 'king'",
    "another principal": "UPDATE credential SET principal_id = 'dr-evil'",
    "another verifier": "UPDATE credential SET verifier = (SELECT verifier FROM credential WHERE principal_id = 'other')",
    "another tenant": "UPDATE credential SET tenant_id = 'elsewhere'",
    "a tenant that cannot be": "UPDATE credential SET tenant_id = 'No Tenant!'",
    "another time": "UPDATE credential SET created = created + 1",
    "another seal": "UPDATE credential SET seal = zeroblob(32)",
    "no seal": "UPDATE credential SET seal = x''",
    "another's seal": "UPDATE credential SET seal = (SELECT seal FROM credential WHERE principal_id = 'other')",
    "a piece moved over": "UPDATE credential SET principal_id = 'agent-', roles = '1' || roles",
    "text for bytes": "UPDATE credential SET verifier = CAST(verifier AS TEXT)",
    "bytes for text": "UPDATE credential SET roles = CAST(roles AS BLOB)",
    "a size for bytes": "UPDATE credential SET verifier = 99999999999",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_credential_that_was_changed_in_the_database_is_refused_and_its_use_is_a_denied_entry(
    credentials: Credentials,
    authenticator: Authenticator,
    key: str,
    database: sqlite3.Connection,
    change: str,
) -> None:
    other = Principal("other", TENANT, frozenset({Role.SERVICE}))
    issue_key(credentials, other, system_entropy, cost=CHEAP)
    database.execute(f"{change} WHERE credential_id = ?", (_credential(key),))
    before = _denied(database)
    with pytest.raises(TamperedError):
        credentials.find(_credential(key))
    with pytest.raises(NotAuthenticatedError):
        authenticator.authenticate(f"Bearer {key}", HERE)
    (tenant, header), *others = _denied(database)[len(before) :]
    assert not others
    unreadable = {
        "another tenant",
        "a tenant that cannot be",
        "text for bytes",
        "bytes for text",
        "a size for bytes",
    }
    assert tenant == (SYSTEM_LOG if change in {CHANGES[name] for name in unreadable} else TENANT)
    assert '"principal":"memvault"' in header
    assert _credential(key) in header


def _denied(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the tenant and header of each denied login, in order."""
    return database.execute(
        "SELECT tenant_id, header FROM audit_leaf WHERE event = 'principal.login'"
        """ AND header LIKE '%"decision":"denied"%' ORDER BY tenant_id, leaf_index"""
    ).fetchall()


def test_a_credential_that_was_put_into_the_database_opens_nothing(
    credentials: Credentials, authenticator: Authenticator, key: str, database: sqlite3.Connection
) -> None:
    made_up = f"mv_{'0' * 26}_{key.rpartition('_')[2]}"
    verifier = _verifier(made_up, b"s" * 16, CHEAP)
    database.execute(
        "INSERT INTO credential SELECT tenant_id, ?, 'dr-evil', 'clinician', ?, created, seal FROM credential",
        (_credential(made_up), verifier),
    )
    with pytest.raises(NotAuthenticatedError):
        authenticator.authenticate(f"Bearer {made_up}", HERE)
    assert authenticator.authenticate(f"Bearer {key}", HERE) == AGENT


def test_uses_of_a_tampered_credential_are_bounded(
    authenticator: Authenticator, key: str, database: sqlite3.Connection
) -> None:
    database.execute("UPDATE credential SET roles = 'clinician'")
    for _ in range(3):
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(f"Bearer {key}", HERE)
    with pytest.raises(AttemptsExceededError):
        authenticator.authenticate(f"Bearer {key}", HERE)


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM credential", "UPDATE credential SET roles = 'clinician'"],
    ids=["removed", "changed"],
)
def test_a_remembered_key_is_refused_as_soon_as_its_credential_is_removed_or_changed(
    authenticator: Authenticator, key: str, database: sqlite3.Connection, change: str
) -> None:
    authenticator.authenticate(f"Bearer {key}", HERE)
    assert authenticator.remembered(f"Bearer {key}") == AGENT
    database.execute(change)
    assert authenticator.remembered(f"Bearer {key}") is None
    with pytest.raises(NotAuthenticatedError):
        authenticator.authenticate(f"Bearer {key}", HERE)


def test_a_credential_of_a_role_that_there_is_not_yet_raises_the_alarm(
    credentials: Credentials, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.credentials.Role", [Role.SERVICE])
    with pytest.raises(TamperedError, match="unknown role"):
        credentials.find(_credential(key))


def test_an_unknown_credential_is_checked_against_a_decoy(
    authenticator: Authenticator, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    verify = authenticator._verify

    def watched(shown: str, verifier: bytes) -> bool:
        checked.append(verifier)
        return verify(shown, verifier)

    monkeypatch.setattr(authenticator, "_verify", watched)
    for wrong in (f"mv_{'0' * 26}_{'a' * 52}", key[:-1] + ("a" if key[-1] != "a" else "b")):
        with pytest.raises(NotAuthenticatedError):
            authenticator.authenticate(f"Bearer {wrong}", HERE)
    assert len(set(checked)) == 2
    costs = {verifier.split(b"$")[3] for verifier in checked}
    assert len(costs) == 1, "the decoy costs what a real verifier costs"
