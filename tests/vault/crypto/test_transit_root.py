"""Keys wrapped by a transit key: what opens, what does not, and what each refusal of the server is called."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulators.transit import ROLE, SECRET, TOKEN, Fault, Token, TransitSimulator
from vault.clock import system_entropy
from vault.crypto.patience import PatienceLimits
from vault.crypto.root import InContext, RootKind
from vault.crypto.transit_hvac import HvacTransit
from vault.crypto.transit_place import TransitAuth, TransitPlace
from vault.crypto.transit_root import MAX_BATCH, RootName, TransitRoot, name_root
from vault.errors import (
    InputInvalidError,
    KeyWrongError,
    RootAnswerError,
    RootDeniedError,
    RootKeyGoneError,
    RootSealedError,
    RootUnreachableError,
    RootUnusableError,
    RootVersionError,
    TamperedError,
    VaultError,
)

CONTEXT = b"memos-vault/wrapped-key/clinic/sub_a/1"
SECRET_KEY = b"k" * 64
PATIENCE = PatienceLimits(seconds=2, pause_seconds=0.001, rest_seconds=10)


class Ticks:
    """A clock that a test puts forward; sleeping puts it forward, too."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Site:
    """A simulator, and clients of it."""

    def __init__(self, server: TransitSimulator, folder: Path) -> None:
        self.server = server
        self.ticks = Ticks()
        self.file = folder / "credential"
        self.clients: list[HvacTransit] = []
        self.write(TOKEN)

    def write(self, secret: str, mode: int = 0o600) -> None:
        self.file.write_text(secret + "\n")
        self.file.chmod(mode)

    def client(self, **settings: Any) -> HvacTransit:  # noqa: ANN401  # fields of the place
        place = TransitPlace(self.server.url, "memvault", self.file, **{"patience": PATIENCE, **settings})
        made = HvacTransit(place, self.ticks, self.ticks.sleep, system_entropy)
        self.clients.append(made)
        return made

    def root(self, **settings: Any) -> TransitRoot:  # noqa: ANN401  # the same
        client = self.client(**settings)
        return TransitRoot(client, name_root(client, "transit", "memvault", system_entropy), system_entropy)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with TransitSimulator() as server:
        made = Site(server, tmp_path)
        yield made
        for client in made.clients:
            client.close()


def outcome(found: bytes | VaultError) -> type[VaultError] | bytes:
    return found if isinstance(found, bytes) else type(found)


# ---- what is wrapped ----


def test_what_is_wrapped_opens_in_its_context_alone(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    assert (root.kind, len(root.fingerprint)) == (RootKind.TRANSIT, 32)
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY
    with pytest.raises(TamperedError):
        root.unwrap(CONTEXT + b"x", wrapped)  # moved to another row
    assert SECRET_KEY not in wrapped
    assert root.fingerprint in repr(root)


def test_many_keys_go_in_batches_that_the_server_takes_and_keep_their_order(site: Site) -> None:
    root = site.root()
    keys = [InContext(b"row %d" % nth, b"%064d" % nth) for nth in range(2 * MAX_BATCH + 3)]
    site.server.asked.clear()
    wrapped = root.wrap_many(keys)
    assert len(site.server.asked) == 6  # three of at most 127 with the proof, each had back
    boxes = [InContext(key.context, box) for key, box in zip(keys, wrapped, strict=True)]
    site.server.asked.clear()
    assert root.unwrap_many(boxes) == [key.key for key in keys]
    assert len(site.server.asked) == 3
    assert root.unwrap_many([]) == []
    assert root.wrap_many([]) == []


@pytest.mark.parametrize("cut", [0, 15, 16, 18, 19, 40, 80, -1])
def test_a_cut_wrapped_key_is_noticed(site: Site, cut: int) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    with pytest.raises((KeyWrongError, TamperedError)):
        root.unwrap(CONTEXT, wrapped[:cut])


def test_every_changed_byte_is_noticed(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    changed = [
        InContext(CONTEXT, wrapped[:at] + bytes([wrapped[at] ^ 2]) + wrapped[at + 1 :])
        for at in range(len(wrapped))
    ]
    found = [outcome(one) for one in root.unwrap_many(changed)]
    assert set(found[:16]) == {KeyWrongError}
    assert set(found[16:]) == {TamperedError}
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY


def test_a_length_that_takes_bytes_of_the_box_for_base64_is_noticed(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    end = len(wrapped) - 136
    longer = wrapped[:17] + (end - 19 + 2).to_bytes(2) + wrapped[19:end] + b"AA" + wrapped[end + 2 :]
    found = root.unwrap_many([InContext(CONTEXT, longer), InContext(CONTEXT, wrapped)])
    assert [outcome(one) for one in found] == [TamperedError, SECRET_KEY]


def test_one_bad_key_fails_no_other(site: Site) -> None:
    root = site.root()
    first, second = root.wrap_many([InContext(CONTEXT, SECRET_KEY), InContext(b"other", b"o" * 64)])
    spliced = first[:19] + second[19:]  # another row's transit ciphertext and box under this name
    found = root.unwrap_many(
        [InContext(CONTEXT, spliced), InContext(CONTEXT, b"strange"), InContext(CONTEXT, first)]
    )
    assert [outcome(one) for one in found] == [TamperedError, KeyWrongError, SECRET_KEY]


def test_a_transit_ciphertext_that_holds_no_wrapping_key_is_noticed(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    (short,) = site.client().encrypt_many([b"short"])
    box = wrapped[:17] + len(short).to_bytes(2) + short.encode() + wrapped[-136:]
    with pytest.raises(TamperedError, match="no wrapping key"):
        root.unwrap(CONTEXT, box)


@given(st.binary(max_size=200))
def test_no_bytes_behind_a_roots_name_are_taken_for_a_key(tail: bytes) -> None:
    class Never:
        def __getattr__(self, name: str) -> object:
            raise AssertionError("the server was asked for what is no wrapped key")

    name = RootName("transit", "memvault", "ab" * 16, "vault:v1:AAAA")
    root = TransitRoot(Never(), name, system_entropy)  # type: ignore[arg-type]  # is never asked
    found = root.unwrap_many([InContext(CONTEXT, bytes.fromhex("ab" * 16) + tail)])
    assert outcome(found[0]) is TamperedError


# ---- which key it is ----


def test_the_fingerprint_stays_over_versions_and_differs_between_keys(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    root.rotate()
    again = TransitRoot(site.client(), root.name, system_entropy)
    again.check()
    assert again.unwrap(CONTEXT, wrapped) == SECRET_KEY
    assert (again.latest_version(), again.version(wrapped)) == (2, 1)
    assert site.root().fingerprint != root.fingerprint


def test_another_key_under_the_same_name_is_wrong_and_wraps_nothing(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    site.server.replace_key()
    for use in (root.check, lambda: root.unwrap(CONTEXT, wrapped), lambda: root.wrap(CONTEXT, SECRET_KEY)):
        with pytest.raises(KeyWrongError):
            use()
    assert isinstance(root.health().fault, KeyWrongError)


def test_a_proof_of_another_root_is_wrong(site: Site) -> None:
    one, other = site.root(), site.root()
    mixed = RootName("transit", "memvault", one.fingerprint, other.name.proof)
    with pytest.raises(KeyWrongError):
        TransitRoot(site.client(), mixed, system_entropy).check()


def test_a_server_that_does_not_give_back_what_it_encrypted_is_not_relied_on(site: Site) -> None:
    root = site.root()
    proof = base64.b64encode(site.client().decrypt_many([root.name.proof])[0]).decode()  # type: ignore[arg-type]  # bytes

    def lie(path: str, _body: dict[str, Any]) -> tuple[int, object] | None:
        if "decrypt" not in path:
            return None
        return 200, {"data": {"batch_results": [{"plaintext": proof}, {"plaintext": "AAAA"}]}}

    site.server.over = lie
    with pytest.raises(RootAnswerError, match="give back"):
        root.wrap(CONTEXT, SECRET_KEY)


# ---- rewrap ----


def test_a_rewrap_changes_the_transit_part_alone_and_outlives_the_old_version(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    site.server.rotate()
    renewed, strange, cut = root.rewrap_many([wrapped, b"strange", wrapped[:30]])
    assert isinstance(renewed, bytes)
    assert [outcome(strange), outcome(cut)] == [KeyWrongError, TamperedError]
    assert renewed[-136:] == wrapped[-136:]
    assert root.version(renewed) == 2
    name = root.rewrapped_name()
    assert name.fingerprint == root.fingerprint
    site.server.state.min_decryption = 2
    assert root.unwrap(CONTEXT, renewed) == SECRET_KEY
    assert outcome(root.rewrap_many([wrapped])[0]) is RootVersionError
    assert outcome(root.rewrap_many([b"", b""])[0]) is TamperedError
    with pytest.raises(RootVersionError):
        root.unwrap(CONTEXT, wrapped)
    TransitRoot(site.client(), name, system_entropy).check()


@pytest.mark.parametrize("which", ["of another key", "of nothing that was encrypted"])
def test_a_rewrap_that_holds_anything_else_takes_no_key_s_place(site: Site, which: str) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    strange = site.client().encrypt_many([bytes(32)])[0] if "key" in which else "vault:v1:" + "A" * 80

    def swap(path: str, _body: dict[str, Any]) -> tuple[int, object] | None:
        return (200, {"data": {"batch_results": [{"ciphertext": strange}]}}) if "rewrap" in path else None

    site.server.over = swap
    with pytest.raises(RootAnswerError, match="give back"):
        root.rewrap_many([wrapped])
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY


def test_a_proof_below_min_decryption_version_is_told_as_that(site: Site) -> None:
    root = site.root()
    site.server.rotate()
    site.server.state.min_decryption = 2
    with pytest.raises(RootVersionError):
        root.check()
    with pytest.raises(RootVersionError):
        root.wrap(CONTEXT, SECRET_KEY)


def test_a_proof_that_is_refused_in_the_midst_of_its_rewrap_stays(site: Site) -> None:
    root = site.root()

    def refuse(path: str, _body: dict[str, Any]) -> tuple[int, object] | None:
        if "rewrap" not in path:
            return None
        return 200, {"data": {"batch_results": [{"error": "disallowed by policy (too old)"}]}}

    site.server.over = refuse
    with pytest.raises(RootVersionError):
        root.rewrapped_name()
    root.check()


# ---- faults ----


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=500, body=b'{"errors":["internal error"]}'), RootUnreachableError),
        (Fault(status=429, body=b"{}"), RootUnreachableError),
        (Fault(status=503, body=b"<html>"), RootUnreachableError),
        (Fault(status=503, body=b'{"errors":["Vault is sealed"]}'), RootSealedError),
        (Fault(status=404, body=b'{"errors":[]}'), RootKeyGoneError),
        (Fault(status=400, body=b'{"errors":["encryption key not found"]}'), RootKeyGoneError),
        (Fault(status=400, body=b'{"errors":["disallowed by policy (too old)"]}'), RootVersionError),
        (Fault(status=400, body=b'{"errors":7}'), RootAnswerError),
        (Fault(status=302, body=b"{}"), RootAnswerError),
        (Fault(body=b"not JSON"), RootAnswerError),
        (Fault(body=b""), RootAnswerError),
        (Fault(body=b"[" * 100_000), RootAnswerError),
        (Fault(body=b"{}" + b" " * (1 << 20)), RootAnswerError),
        (Fault(body=b'{"data":{"batch_results":[]}}'), RootAnswerError),
        (Fault(body=b'{"data":{"batch_results":[7]}}'), RootAnswerError),
        (Fault(body=b'{"data":{"batch_results":[{}]}}'), RootAnswerError),
        (Fault(body=b'{"data":{"batch_results":[{"plaintext":"?"}]}}'), RootAnswerError),
        (Fault(drop=True), RootUnreachableError),
        (Fault(drop_after=True), RootUnreachableError),
    ],
    ids=str,
)
def test_each_fault_has_its_own_error_which_quotes_no_answer(
    site: Site, fault: Fault, kind: type[RootUnusableError]
) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    site.server.faults.extend([fault] * 6)
    with pytest.raises(kind) as raised:
        root.unwrap(CONTEXT, wrapped)
    assert type(raised.value) is kind
    assert not any(word in str(raised.value) for word in ("html", "internal", TOKEN))
    site.server.faults.clear()
    site.ticks.now += PATIENCE.rest_seconds
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY


def test_a_fault_that_passes_is_not_noticed_by_who_waits(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    site.server.faults.extend([Fault(status=500), Fault(status=502)])
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY
    assert len(site.ticks.slept) == 2
    site.server.faults.append(Fault(drop=True))  # a kept connection that the server closed
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY
    assert len(site.ticks.slept) == 2


def test_a_rotation_whose_answer_is_lost_is_not_made_twice(site: Site) -> None:
    root = site.root()
    site.server.faults.append(Fault(drop_after=True, path="rotate"))
    with pytest.raises(RootUnreachableError):
        root.rotate()
    assert max(site.server.state.keys) == 2


@pytest.mark.parametrize("fault", [Fault(seconds=30), Fault(drip=True)], ids=["hangs", "drips"])
def test_a_server_that_hangs_or_drips_is_left_when_the_time_is_over(tmp_path: Path, fault: Fault) -> None:
    with TransitSimulator() as server:
        site = Site(server, tmp_path)
        limits = PatienceLimits(seconds=0.3, attempts=1)
        client = HvacTransit(TransitPlace(server.url, "memvault", site.file, patience=limits))
        server.faults.append(Fault())
        server.faults.append(fault)
        with pytest.raises(RootUnreachableError, match="in time"):
            client.encrypt_many([b"x" * 32])
        client.close()


def test_nobody_listens_and_a_name_that_is_none_are_unreachable(tmp_path: Path) -> None:
    with TransitSimulator() as server:
        url = server.url
    site = Site(server, tmp_path)
    for where, said in ((url, "refused"), ("https://no-such-host.invalid:1", "name is not known|connection")):
        client = HvacTransit(TransitPlace(where, "memvault", site.file, patience=PatienceLimits(attempts=1)))
        with pytest.raises(RootUnreachableError, match=said):
            client.encrypt_many([b"x"])


def test_plain_http_where_tls_is_expected_is_unreachable(site: Site) -> None:
    place = TransitPlace(
        site.server.url.replace("http:", "https:"), "memvault", site.file, patience=PatienceLimits(attempts=1)
    )
    with pytest.raises(RootUnreachableError, match="TLS"):
        HvacTransit(place).encrypt_many([b"x"])


def test_what_is_no_http_is_no_answer(tmp_path: Path) -> None:
    file = tmp_path / "credential"
    file.write_text(TOKEN)
    file.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            taken, _ = listening.accept()
            with taken:
                taken.recv(65_536)
                taken.sendall(b"SSH-2.0-other\r\n\r\n")

        speaker = threading.Thread(target=speak)
        speaker.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        place = TransitPlace(url, "memvault", file, patience=PatienceLimits(attempts=1))
        with pytest.raises(RootUnreachableError, match="HTTP"):
            HvacTransit(place).encrypt_many([b"x"])
        speaker.join(5)


def test_the_versions_may_be_told_wrongly(site: Site) -> None:
    root = site.root()
    site.server.over = lambda path, _body: (200, {"data": {}}) if "keys" in path else None
    with pytest.raises(RootAnswerError):
        root.latest_version()


# ---- breaker ----


def test_after_failures_in_a_row_nobody_asks_until_one_may_try(site: Site) -> None:
    root = site.root()
    site.server.state.sealed = True
    for _ in range(PATIENCE.failures):
        with pytest.raises(RootSealedError):
            root.check()
    asked = len(site.server.asked)
    with pytest.raises(RootSealedError, match="not asked again for"):
        root.check()
    assert len(site.server.asked) == asked
    assert site.clients[-1].resting
    site.ticks.now += PATIENCE.rest_seconds
    with pytest.raises(RootSealedError):
        root.check()  # the probe
    assert len(site.server.asked) == asked + 1
    site.server.state.sealed = False
    with pytest.raises(RootSealedError, match="not asked again"):
        root.check()
    site.ticks.now += PATIENCE.rest_seconds
    root.check()
    root.check()
    assert not site.clients[-1].resting


def test_only_one_probes(site: Site) -> None:
    root = site.root()
    breaker = site.clients[-1]._patience.breaker
    for _ in range(PATIENCE.failures):
        breaker.failed(RootUnreachableError("away"))
    site.ticks.now += PATIENCE.rest_seconds
    breaker.admit()
    with pytest.raises(RootUnreachableError, match="not asked again"):
        root.check()


def test_patience_ends_with_its_time(site: Site) -> None:
    root = site.root(patience=PatienceLimits(seconds=0.5, attempts=50, pause_seconds=10, failures=99))
    site.server.faults.extend([Fault(status=500)] * 50)
    with pytest.raises(RootUnreachableError):
        root.check()
    assert sum(site.ticks.slept) < 0.5


def test_limits_of_patience_are_positive() -> None:
    with pytest.raises(InputInvalidError):
        PatienceLimits(seconds=0)


# ---- health ----


def test_health_is_asked_for_at_most_once_a_second(site: Site) -> None:
    client = site.client()
    name = name_root(client, "transit", "memvault", system_entropy)
    root = TransitRoot(client, name, system_entropy, site.ticks)
    assert root.health().fault is None
    asked = len(site.server.asked)
    site.server.state.sealed = True
    assert root.health().fault is None
    assert len(site.server.asked) == asked
    site.ticks.now += 1.0
    assert isinstance(root.health().fault, RootSealedError)


# ---- logging in ----


@pytest.mark.parametrize("auth", [TransitAuth.APPROLE, TransitAuth.KUBERNETES])
def test_each_login_reads_its_secret_from_the_file(site: Site, auth: TransitAuth) -> None:
    site.write(SECRET, 0o644 if auth is TransitAuth.KUBERNETES else 0o600)
    root = site.root(auth=auth, role=ROLE, namespace="team-a")
    assert root.unwrap(CONTEXT, root.wrap(CONTEXT, SECRET_KEY)) == SECRET_KEY
    assert site.server.headers["X-Vault-Token"].startswith("s.login-")
    assert site.server.headers["X-Vault-Namespace"] == "team-a"
    assert sum("login" in path for path in site.server.asked) == 1


def test_a_refused_login_is_denied_and_the_secret_is_in_no_message(site: Site) -> None:
    site.write("wrong-secret")
    with pytest.raises(RootDeniedError) as raised:
        site.root(auth=TransitAuth.APPROLE, role=ROLE)
    assert "wrong-secret" not in str(raised.value)


@pytest.mark.parametrize(
    "told", [{}, {"auth": {}}, {"auth": {"client_token": "two\nlines"}}, {"auth": 7}], ids=str
)
def test_a_login_that_gives_no_token_is_denied(site: Site, told: object) -> None:
    site.write(SECRET)
    site.server.over = lambda path, _body: (200, told) if "login" in path else None
    with pytest.raises(RootDeniedError):
        site.root(auth=TransitAuth.APPROLE, role=ROLE)


def test_a_token_is_renewed_before_it_expires(site: Site) -> None:
    site.server.state.tokens[TOKEN] = Token(ttl=60)
    root = site.root()
    site.ticks.now += 30
    root.check()
    assert not any("renew" in path for path in site.server.asked)
    site.ticks.now += 15
    root.check()
    assert sum("renew" in path for path in site.server.asked) == 1
    assert root.health().notes == ()


def test_a_login_that_cannot_be_renewed_is_made_anew(site: Site) -> None:
    site.write(SECRET)
    site.server.state.login_ttl, site.server.state.login_renewable = 60, False
    root = site.root(auth=TransitAuth.APPROLE, role=ROLE)
    site.ticks.now += 45
    root.check()
    assert sum("login" in path for path in site.server.asked) == 2


def test_a_token_that_can_not_be_renewed_is_used_to_its_end_and_told_of(site: Site) -> None:
    site.write(SECRET)
    site.server.state.login_ttl = 60
    root = site.root(auth=TransitAuth.APPROLE, role=ROLE)
    site.server.over = lambda path, _body: (400, {}) if "login" in path or "renew" in path else None
    site.ticks.now += 55
    assert "expires in 5 s" in root.health().notes[0]
    root.check()
    site.ticks.now += 10
    with pytest.raises(RootUnusableError):
        root.check()
    site.server.over = lambda _path, _body: None
    site.ticks.now += 2
    root.check()
    assert root.health().notes == ()


@pytest.mark.parametrize("idle", [45, 61, 86_400])
def test_a_token_that_is_gone_when_its_renewal_is_due_is_followed_by_a_login(site: Site, idle: int) -> None:
    site.write(SECRET)
    site.server.state.login_ttl = 60
    root = site.root(auth=TransitAuth.APPROLE, role=ROLE)
    site.server.state.tokens.clear()  # it expired while nobody asked, or somebody took it back
    site.ticks.now += idle
    root.check()
    asked = [path.rsplit("/", 1)[1] for path in site.server.asked if "auth" in path]
    assert asked == ["login", "renew-self", "login"]
    assert root.health().notes == ()


def test_a_renewal_that_does_not_lengthen_is_followed_by_a_login(site: Site) -> None:
    site.write(SECRET)
    site.server.state.login_ttl = 60
    root = site.root(auth=TransitAuth.APPROLE, role=ROLE)
    token = next(name for name in site.server.state.tokens if name != TOKEN)
    short = {"auth": {"client_token": token, "lease_duration": 5, "renewable": True}}
    site.ticks.now += 45
    site.server.over = lambda path, _body: (200, short) if "renew" in path else None
    root.check()
    asked = [path.rsplit("/", 1)[1] for path in site.server.asked if "auth" in path]
    assert asked == ["login", "renew-self", "login"]


def test_another_token_in_the_file_is_taken_when_the_first_is_refused(site: Site) -> None:
    root = site.root()
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    site.server.state.tokens = {"s.second": Token(may_look=False)}
    site.write("s.second")
    site.ticks.now += 2
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY


def test_a_withdrawn_permission_is_told_and_is_no_storm_of_logins(site: Site) -> None:
    site.write(SECRET)
    root = site.root(auth=TransitAuth.APPROLE, role=ROLE)
    wrapped = root.wrap(CONTEXT, SECRET_KEY)
    site.server.over = lambda path, _body: (403, {"errors": ["x"]}) if "transit" in path else None
    site.ticks.now += 2
    for _ in range(20):
        with pytest.raises(RootDeniedError):
            root.unwrap(CONTEXT, wrapped)
    assert sum("login" in path for path in site.server.asked) == 2
    site.server.over = lambda _path, _body: None
    assert root.unwrap(CONTEXT, wrapped) == SECRET_KEY


def test_who_is_refused_with_an_old_token_takes_the_one_that_another_thread_got(site: Site) -> None:
    site.root()
    login = site.clients[-1]._login
    assert login.again("s.old", 1.0) == TOKEN
    assert login.token(1.0) == TOKEN


@pytest.mark.parametrize("told", [{"data": 7}, {}, {"data": {"ttl": "x"}}], ids=str)
def test_a_token_of_which_nothing_is_told_is_used_as_it_is(site: Site, told: object) -> None:
    site.server.over = lambda path, _body: (200, told) if "lookup" in path else None
    site.root().check()
    assert site.clients[-1].notes() == ()


def test_a_token_s_file_is_its_owner_s_alone_and_one_line(site: Site, tmp_path: Path) -> None:
    for content, mode in (("a b", 0o600), ("", 0o600), ("x" * 70_000, 0o600), (TOKEN, 0o644), ("é", 0o600)):
        site.write(content, mode)
        with pytest.raises(RootDeniedError) as raised:
            site.client().check_login()
        assert TOKEN not in str(raised.value)
    site.write(SECRET, 0o666)
    with pytest.raises(RootDeniedError):
        site.client(auth=TransitAuth.KUBERNETES, role=ROLE).check_login()
    site.file.unlink()
    with pytest.raises(RootDeniedError, match="cannot be read"):
        site.client().check_login()
    site.file = tmp_path
    with pytest.raises(RootDeniedError):
        site.client().check_login()


# ---- where it is ----


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://vault.example:8200"},
        {"url": "ftp://127.0.0.1"},
        {"url": "https://user@host"},
        {"url": "https://host/path"},
        {"url": "https://host:99999"},
        {"url": "https://"},
        {"key": "../x"},
        {"mount": "a//b"},
        {"mount": ".."},
        {"auth_mount": "a?b"},
        {"namespace": "a b"},
        {"role": "r"},
        {"auth": TransitAuth.APPROLE},
        {"auth": TransitAuth.APPROLE, "role": "\n"},
        {"certificate_file": Path("c.pem")},
    ],
    ids=str,
)
def test_a_place_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    settings = {"url": "https://127.0.0.1:8200", "key": "memvault", "credential_file": Path("t"), **wrong}
    with pytest.raises(InputInvalidError):
        TransitPlace(**settings)


def test_loopback_by_name_and_a_login_s_own_mount_are_taken() -> None:
    place = TransitPlace("http://localhost:8200", "memvault", Path("t"), auth_mount="k8s/east")
    assert place.auth_mount == "k8s/east"


def test_files_of_certificates_that_cannot_be_read_are_told_of_at_once(tmp_path: Path) -> None:
    refused: tuple[dict[str, Any], ...] = (
        {"ca_file": tmp_path / "none.pem"},
        {"certificate_file": tmp_path / "none.pem", "certificate_key_file": tmp_path / "none.key"},
    )
    for files in refused:
        place = TransitPlace("https://127.0.0.1:1", "memvault", tmp_path / "t", **files)
        with pytest.raises(InputInvalidError, match="certificate"):
            HvacTransit(place)
    assert ssl.HAS_TLSv1_2


def test_a_token_without_an_end_that_a_renewal_gives_is_kept(site: Site) -> None:
    site.server.state.tokens[TOKEN] = Token(ttl=60)
    root = site.root()
    endless = {"auth": {"client_token": TOKEN, "lease_duration": 0, "renewable": False}}
    site.server.over = lambda path, _body: (200, endless) if "renew" in path else None
    site.ticks.now += 45
    root.check()
    site.ticks.now += 1_000
    assert root.health().notes == ()


def test_time_that_is_over_before_the_request_is_no_request(site: Site) -> None:
    client = site.client()
    with pytest.raises(RootUnreachableError, match="in time"):
        client._connections.ask("GET", "/v1/sys/health", None, {}, 0.0)
    assert site.server.asked == []


def test_hvac_may_ask_for_the_token_of_a_login(site: Site) -> None:
    assert site.client()._transport.get_login_token({"auth": {"client_token": "t"}}) == "t"


def test_a_ciphertext_of_no_form_is_an_answer_of_no_transit_engine(site: Site) -> None:
    told = {"data": {"batch_results": [{"ciphertext": "local:" + "A" * 600}]}}
    site.server.over = lambda path, _body: (200, told) if "encrypt" in path else None
    with pytest.raises(RootAnswerError, match="expected a transit ciphertext"):
        site.root()
