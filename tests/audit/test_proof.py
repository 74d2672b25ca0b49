"""Proof files: one entry's inclusion, carried alone, in the form of C2SP tlog-proof."""

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.errors import (
    BundleMalformedError,
    HeaderMalformedError,
    KeyMalformedError,
    MalformedError,
    NoteMalformedError,
    PayloadMalformedError,
    VerificationError,
)
from audit.event import commit_payload
from audit.evidence import StoredEntry
from audit.merkle import leaf_hash, root_hash
from audit.proof import (
    FIRST_LINE,
    MAX_EXTRA_SIZE,
    MAX_PROOF_SIZE,
    CarriedEntry,
    ProvenEntry,
    TlogProof,
    parse_carried,
    parse_proof,
    verify_proof,
)
from audit.signing import SignerKey
from audit.trust import Trust
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment

A = "clinic-a"
WITNESSES = [WitnessSignerKey(f"witness.example/w{nth}", bytes([nth]) * 32) for nth in (1, 2)]
TRUST = Trust((LOG_KEY.verifier,))


def entry_of(deployment: SmallDeployment, index: int) -> StoredEntry:
    return next(deployment.log.entries(deployment.connection, A, index, index + 1))


def proof_of(deployment: SmallDeployment, index: int = 3, tenant: str = A) -> TlogProof:
    connection = deployment.connection
    latest = deployment.log.latest_checkpoint(connection, tenant)
    assert latest is not None
    (entry,) = deployment.log.entries(connection, tenant, index, index + 1)
    path = deployment.log.inclusion_proof(connection, tenant, index, latest.checkpoint.size)
    carried = CarriedEntry(entry.header.encode(), entry.salt, entry.payload)
    return TlogProof(index, tuple(path), latest.note, carried.encode())


def test_every_entry_is_proved_alone(lived: SmallDeployment) -> None:
    for index in range(9):
        proof = parse_proof(proof_of(lived, index).encode())
        proven = verify_proof(proof, TRUST)
        assert (proven.index, proven.checkpoint.size, proven.witnesses) == (index, 9, ())
        assert proven.header.tenant == A
        assert proven.payload is not None


def test_a_proof_reads_as_the_specification_writes_it(lived: SmallDeployment) -> None:
    proof = proof_of(lived, 8)
    lines = proof.encode().decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 8"
    assert lines[3] == b64encode(proof.path[0]).decode()
    assert lines[4:7] == ["", f"memos-vault/ward-1/{A}", "9"]


def test_an_entry_may_be_carried_without_its_payload_or_beside_the_proof(lived: SmallDeployment) -> None:
    proof, entry = proof_of(lived), entry_of(lived, 3)
    bare = TlogProof(proof.index, proof.path, proof.checkpoint)
    header = entry.header.encode()
    assert verify_proof(bare, TRUST, CarriedEntry(header)).payload is None
    assert verify_proof(bare, TRUST, CarriedEntry(header, entry.salt, entry.payload)).payload is not None
    with_header = TlogProof(proof.index, proof.path, proof.checkpoint, CarriedEntry(header).encode())
    assert verify_proof(with_header, TRUST).payload is None
    with pytest.raises(BundleMalformedError, match="expected the entry"):
        verify_proof(bare, TRUST)


def test_the_key_of_a_log_serves_as_well_as_the_deployments(lived: SmallDeployment) -> None:
    verify_proof(proof_of(lived), Trust((LOG_KEY.verifier.for_log(A),)))
    with pytest.raises(VerificationError, match="origin"):
        verify_proof(proof_of(lived), Trust((LOG_KEY.verifier.for_log("clinic-b"),)))


def test_a_key_that_was_rolled_over_counts_beside_the_new_one(lived: SmallDeployment) -> None:
    following = SignerKey.for_deployment("ward-1", bytes(32))
    verify_proof(proof_of(lived), Trust((following.verifier, LOG_KEY.verifier)))
    with pytest.raises(VerificationError, match="signature"):
        verify_proof(proof_of(lived), Trust((following.verifier,)))


def cosigned(proof: TlogProof, *witnesses: WitnessSignerKey) -> TlogProof:
    text = proof.checkpoint.decode().rpartition("\n\n")[0] + "\n"
    lines = "".join(str(witness.cosign(text, 1_700_000_000)) for witness in witnesses)
    return TlogProof(proof.index, proof.path, proof.checkpoint + lines.encode(), proof.extra)


def demanding(required: int) -> Trust:
    return Trust((LOG_KEY.verifier,), tuple(one.verifier for one in WITNESSES), required)


def test_cosignatures_are_counted_and_may_be_demanded(lived: SmallDeployment) -> None:
    one, both = cosigned(proof_of(lived), WITNESSES[0]), cosigned(proof_of(lived), *WITNESSES)
    assert verify_proof(both, demanding(2)).witnesses == ("witness.example/w1", "witness.example/w2")
    assert verify_proof(one, demanding(1)).witnesses == ("witness.example/w1",)
    with pytest.raises(VerificationError, match="cosignatures: expected 2 by trusted witnesses, got 1"):
        verify_proof(one, demanding(2))
    twice = cosigned(proof_of(lived), WITNESSES[0], WITNESSES[0])
    with pytest.raises(VerificationError, match="got 1"):
        verify_proof(twice, demanding(2))


def test_a_cosignature_that_is_wrong_fails_a_proof(lived: SmallDeployment) -> None:
    proof = cosigned(proof_of(lived), WITNESSES[0])
    line = proof.checkpoint.split(b"\n")[-2]
    forged = line[:-8] + (b"AAAAAA==" if not line.endswith(b"AAAAAA==") else b"BAAAAA==")
    bad = TlogProof(proof.index, proof.path, proof.checkpoint.replace(line, forged), proof.extra)
    with pytest.raises((VerificationError, NoteMalformedError)):
        verify_proof(bad, demanding(0))


def test_trust_needs_a_key_and_as_many_witnesses_as_it_demands() -> None:
    with pytest.raises(KeyMalformedError, match="at least one"):
        Trust(())
    for required in (-1, 3):
        with pytest.raises(KeyMalformedError, match="witnesses"):
            demanding(required)


def test_an_origin_that_names_no_tenant_is_of_no_log() -> None:
    assert TRUST.tenant_of("memos-vault/ward-1/clinic-a") == A
    for origin in ("memos-vault", "memos-vault/ward-1/Clinic", "memos-vault/ward-2/clinic-a", "x", ""):
        assert TRUST.tenant_of(origin) is None


Edit = Callable[[TlogProof], TlogProof]


def with_path(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Edit:
    return lambda proof: TlogProof(proof.index, change(proof.path), proof.checkpoint, proof.extra)


def with_index(index: int) -> Edit:
    return lambda proof: TlogProof(index, proof.path, proof.checkpoint, proof.extra)


def with_note(note: bytes) -> Edit:
    return lambda proof: TlogProof(proof.index, proof.path, note, proof.extra)


def note_of(
    size: int, root: bytes, *, origin: str = f"{LOG_KEY.name}/{A}", key: SignerKey = LOG_KEY
) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, root), [SignerKey(origin, key.seed)]).note


WRONG: dict[str, Edit] = {
    "an index beside the right one": with_index(4),
    "an index that is the size": with_index(9),
    "an index beyond the size": with_index(2**62),
    "a hash less": with_path(lambda path: path[:-1]),
    "a hash more": with_path(lambda path: (*path, bytes(32))),
    "another hash": with_path(lambda path: (bytes(32), *path[1:])),
    "hashes in another order": with_path(lambda path: path[::-1]),
    "a tree of size 0": with_note(note_of(0, root_hash([]))),
    "another root": with_note(note_of(9, bytes(32))),
    "a checkpoint by another key": with_note(note_of(9, bytes(32), key=SignerKey("x", bytes(32)))),
    "a checkpoint of another log": with_note(note_of(9, bytes(32), origin=f"{LOG_KEY.name}/clinic-b")),
    "a checkpoint of another deployment": with_note(
        note_of(9, bytes(32), origin="memos-vault/ward-2/clinic-a")
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_proof_fails_that_has(name: str, lived: SmallDeployment) -> None:
    with pytest.raises(VerificationError, match="expected"):
        verify_proof(WRONG[name](proof_of(lived)), TRUST)


def test_a_proof_fails_whose_entry_is_another_logs_put_under_this_one(lived: SmallDeployment) -> None:
    entry = next(lived.log.entries(lived.connection, "clinic-b", 1, 2))
    header = entry.header.encode()
    note = note_of(1, leaf_hash(header))
    with pytest.raises(VerificationError, match="entry of this log's tenant"):
        verify_proof(TlogProof(0, (), note, CarriedEntry(header).encode()), TRUST)


def test_a_proof_fails_whose_payload_is_another(lived: SmallDeployment) -> None:
    entry = entry_of(lived, 3)
    for salt, payload in (
        (bytes(32), entry.payload),
        (entry.salt, '{"written":[]}'),
        (b"short", entry.payload),
    ):
        with pytest.raises(VerificationError, match="payload"):
            verify_proof(proof_of(lived), TRUST, CarriedEntry(entry.header.encode(), salt, payload))


def test_a_leaf_that_is_no_header_proves_nothing_about_a_vault() -> None:
    for leaf in (b"noise", b"\xff"):
        proof = TlogProof(0, (), note_of(1, leaf_hash(leaf)))
        with pytest.raises(HeaderMalformedError):
            verify_proof(proof, TRUST, CarriedEntry(leaf))


def test_a_payload_that_was_committed_to_in_another_spelling_is_refused(lived: SmallDeployment) -> None:
    entry = entry_of(lived, 3)
    spaced = '{"nth": 0}'
    commitment = commit_payload(bytes(32), spaced.encode())
    at = entry.header.index('"commitment":"') + len('"commitment":"')
    header = (entry.header[:at] + commitment + entry.header[at + 64 :]).encode()
    proof = TlogProof(0, (), note_of(1, leaf_hash(header)))
    with pytest.raises(PayloadMalformedError):
        verify_proof(proof, TRUST, CarriedEntry(header, bytes(32), spaced))


def test_a_carried_header_is_ascii() -> None:
    with pytest.raises(HeaderMalformedError):
        CarriedEntry(b"\xff").encode()


BAD_FILES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "another first line": lambda good: good.replace(b"@v1", b"@v2"),
    "a first line with a blank": lambda good: good.replace(b"@v1\n", b"@v1 \n"),
    "carriage returns": lambda good: good.replace(b"\n", b"\r\n"),
    "no index": lambda good: good.replace(b"index 3\n", b""),
    "an index with a leading zero": lambda good: good.replace(b"index 3", b"index 03"),
    "an index with a sign": lambda good: good.replace(b"index 3", b"index +3"),
    "a negative index": lambda good: good.replace(b"index 3", b"index -3"),
    "an index in other digits": lambda good: good.replace(b"index 3", "index \u0663".encode()),
    "an index with a blank behind": lambda good: good.replace(b"index 3", b"index 3 "),
    "an index of 64 bits": lambda good: good.replace(b"index 3", b"index 9223372036854775808"),
    "an index of a thousand digits": lambda good: good.replace(b"index 3", b"index " + b"9" * 1000),
    "an empty index": lambda good: good.replace(b"index 3", b"index "),
    "two lines of extra data": lambda good: good.replace(b"extra ", b"extra AAAA\nextra ", 1),
    "extra data behind the index": lambda good: good.replace(b"index 3\n", b"index 3\nextra AAAA\n"),
    "empty extra data": lambda good: good.replace(b"extra ", b"extra \nextra ", 1),
    "extra data that is no base64": lambda good: good.replace(b"extra ", b"extra ?", 1),
    "a hash that is no base64": lambda good: good.replace(b"index 3\n", b"index 3\n????\n"),
    "a hash of 31 bytes": lambda good: good.replace(
        b"index 3\n", b"index 3\n" + b64encode(bytes(31)) + b"\n"
    ),
    "a hash of 33 bytes": lambda good: good.replace(
        b"index 3\n", b"index 3\n" + b64encode(bytes(33)) + b"\n"
    ),
    "a hash in another base64": lambda good: good.replace(b"index 3\n", b"index 3\n" + b"A" * 42 + b"B=\n"),
    "64 hashes": lambda good: good.replace(b"index 3\n", b"index 3\n" + (b64encode(bytes(32)) + b"\n") * 64),
    "a million hashes": lambda good: good.replace(
        b"index 3\n", b"index 3\n" + (b64encode(bytes(32)) + b"\n") * 100_000
    ),
    "no empty line": lambda good: good.replace(b"\n\n", b"\n", 1).replace(b"\n\n", b"\n"),
    "no checkpoint": lambda good: good.partition(b"\n\n")[0] + b"\n\n",
    "bytes that are no text": lambda good: b"\xff" + good,
    "a line without end": lambda good: good[:23] + b"A" * (MAX_PROOF_SIZE + 1),
    "extra data without end": lambda good: good.replace(
        b"extra ", b"extra " + b"A" * (MAX_EXTRA_SIZE // 3 * 4 + 4), 1
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_is_refused_that_has(name: str, lived: SmallDeployment) -> None:
    with pytest.raises(BundleMalformedError, match="expected"):
        parse_proof(BAD_FILES[name](proof_of(lived).encode()))


BAD_EXTRA = [
    b"noise",
    b"\xff",
    b"[]",
    b"{}",
    b'{"header":1}',
    b'{"header": "x"}',
    b'{"header":"x","more":1}',
    b'{"header":"x","payload":"{}"}',
    b'{"header":"x","payload":"{}","salt":1}',
    b'{"header":"x","payload":"{}","salt":"?"}',
    b'{"header":"x","payload":1,"salt":"AAAA"}',
    b'{"header":"x","payload":null,"salt":"AAAA"}',
]


@pytest.mark.parametrize("extra", BAD_EXTRA)
def test_extra_data_is_refused_that_is_not_ours(extra: bytes) -> None:
    with pytest.raises(BundleMalformedError, match="expected"):
        parse_carried(extra)


@given(
    st.integers(0, 2**63 - 2),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(min_size=1, max_size=300).filter(lambda note: not note.startswith(b"\n")),
    st.none() | st.binary(min_size=1, max_size=300),
)
def test_a_proof_reads_back_as_it_was_written(
    index: int, path: list[bytes], note: bytes, extra: bytes | None
) -> None:
    proof = TlogProof(index, tuple(path), note, extra)
    assert parse_proof(proof.encode()) == proof


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: FIRST_LINE.encode() + b"\n" + tail))
def test_noise_is_refused_or_reads_back_as_itself(noise: bytes) -> None:
    try:
        assert parse_proof(noise).encode() == noise
    except BundleMalformedError as error:
        assert "expected" in str(error)  # noqa: PT017 - refusing is one of two right answers


@given(at=st.integers(0, 5000), flip=st.integers(1, 255))
def test_a_proof_with_one_byte_changed_proves_nothing_else(at: int, flip: int) -> None:
    deployment = SmallDeployment()
    deployment.live_a_day()
    good = proof_of(deployment).encode()
    deployment.close()
    at %= len(good)
    try:
        proven: ProvenEntry = verify_proof(
            parse_proof(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]), TRUST
        )
    except (MalformedError, VerificationError):
        return
    # What is left to change are base64 of the log's signature line's name: nothing that is proved.
    assert (proven.index, proven.checkpoint.size, proven.header.tenant) == (3, 9, A)
