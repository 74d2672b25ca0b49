"""A witness's decisions, against C2SP tlog-witness and submissions that a public witness is tested with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import KeyMalformedError, SubmissionMalformedError
from audit.merkle import EMPTY_ROOT, MAX_TREE_SIZE, leaf_hash, root_hash
from audit.signing import SignerKey, VerifierKey
from audit.witness import (
    MAX_BODY_SIZE,
    MAX_TRUSTED,
    SIZE_TYPE,
    Answer,
    RefusedError,
    Seen,
    Submission,
    TrustList,
    check_extends,
    find_fork,
    identify,
    parse_size,
    parse_submission,
)
from tests.simulators.plain_tree import PlainTree as Tree

KEY = SignerKey("memos-vault/ward-1/clinic-a", bytes(range(32)))
OTHER = SignerKey(KEY.name, bytes(32))
LEAVES = [leaf_hash(str(nth).encode()) for nth in range(20)]
TREE = Tree(LEAVES)
TRUST = TrustList((KEY.verifier,))

PUBLIC_ORIGIN = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
PUBLIC_KEY = bytes.fromhex("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f")
PUBLIC_SUBMISSIONS = {
    1: (
        "old 0\n\n"
        f"{PUBLIC_ORIGIN}\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
        f"— {PUBLIC_ORIGIN} UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=\n"
    ),
    3: (
        "old 1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nKgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
        f"{PUBLIC_ORIGIN}\n3\nRcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n\n"
        f"— {PUBLIC_ORIGIN} UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=\n"
    ),
    5: (
        "old 1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=\nKgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
        f"{PUBLIC_ORIGIN}\n5\nQrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=\n\n"
        f"— {PUBLIC_ORIGIN} UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=\n"
    ),
}
"""Submissions that the tests of the public witness `litewitness` use, by the size that they submit."""
PUBLIC_TRUST = TrustList((VerifierKey(PUBLIC_ORIGIN, PUBLIC_KEY),))


def note_of(size: int, *, key: SignerKey = KEY, root: bytes | None = None) -> bytes:
    found = TREE.root(size) if root is None else root
    return sign_checkpoint(Checkpoint(key.name, size, found), [key]).note


def submission(old: int, size: int, **how: object) -> Submission:
    proof = tuple(TREE.consistency_proof(old, size)) if 0 < old < size else ()
    return Submission(old, proof, note_of(size, **how))  # type: ignore[arg-type]  # handed through


def refusal(given: Submission, seen: Seen, trust: TrustList = TRUST) -> Answer:
    with pytest.raises(RefusedError) as caught:
        check_extends(given, identify(given, trust), seen)
    return caught.value.answer


def seen(size: int) -> Seen:
    return Seen(size, TREE.root(size))


def test_the_submissions_of_a_public_witness_are_judged_as_it_judges_them() -> None:
    first, third, fifth = (parse_submission(body.encode()) for body in PUBLIC_SUBMISSIONS.values())
    at_one = identify(first, PUBLIC_TRUST)
    check_extends(first, at_one, Seen())
    for later in (third, fifth):
        check_extends(later, identify(later, PUBLIC_TRUST), Seen(1, at_one.root))
    at_five = identify(fifth, PUBLIC_TRUST)
    answer = refusal(third, Seen(5, at_five.root), PUBLIC_TRUST)
    assert (answer.status, answer.body, answer.media_type) == (409, "5\n", SIZE_TYPE)


@pytest.mark.parametrize("old", range(21))
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 13, 20])
def test_every_honest_growth_is_accepted_and_no_shrinking(old: int, size: int) -> None:
    given = submission(old, size)
    if old <= size:
        assert identify(given, TRUST).size == size
        check_extends(given, identify(given, TRUST), seen(old))
    else:
        assert refusal(given, seen(old)).status == 400


@pytest.mark.parametrize(("old", "had"), [(0, 3), (3, 0), (3, 5), (5, 3)])
def test_an_old_size_that_is_another_is_told_the_right_one(old: int, had: int) -> None:
    answer = refusal(submission(old, 8), seen(had))
    assert (answer.status, answer.body, answer.media_type) == (409, f"{had}\n", SIZE_TYPE)
    assert not answer.is_evidence


def test_a_rollback_is_told_the_size_that_was_seen() -> None:
    answer = refusal(submission(3, 5), seen(8))
    assert (answer.status, answer.body) == (409, "8\n")


def test_another_root_at_the_size_that_was_seen_is_a_fork_and_evidence() -> None:
    forked = Submission(8, (), note_of(8, root=bytes(32)))
    answer = refusal(forked, seen(8))
    assert (answer.status, answer.body, answer.is_evidence) == (409, "8\n", True)


@pytest.mark.parametrize("old", [0, 3, 8])
def test_a_fork_is_evidence_whatever_old_size_is_named_with_it(old: int) -> None:
    answer = refusal(Submission(old, (), note_of(8, root=bytes(32))), seen(8))
    assert (answer.status, answer.body, answer.is_evidence) == (409, "8\n", True)


def test_a_proof_that_does_not_hold_shows_nothing_of_the_log() -> None:
    """The log's notes are public: anybody may bring one with a proof of his own."""
    honest = Submission(8, (bytes(32),), note_of(12))
    forked = Tree([*LEAVES[:4], leaf_hash(b"another"), *LEAVES[5:]])
    grown = Submission(8, tuple(forked.consistency_proof(8, 12)), note_of(12, root=forked.root(12)))
    for brought in (honest, grown):
        answer = refusal(brought, seen(8))
        assert (answer.status, answer.is_evidence) == (422, False)


def test_two_notes_of_one_size_and_two_roots_are_a_fork_by_themselves() -> None:
    fork = find_fork(note_of(8), note_of(8, root=bytes(32)))
    assert fork is not None
    assert (fork.origin, fork.size, fork.roots) == (KEY.name, 8, (TREE.root(8), bytes(32)))
    assert fork.is_signed([KEY.verifier])
    assert not fork.is_signed([OTHER.verifier])
    assert not fork.is_signed([])


@pytest.mark.parametrize(
    "shown",
    [
        b"noise",
        note_of(8),
        note_of(9),
        sign_checkpoint(
            Checkpoint(OTHER.name + "/x", 8, bytes(32)), [SignerKey(OTHER.name + "/x", bytes(32))]
        ).note,
    ],
)
def test_other_pairs_of_notes_show_no_fork(shown: bytes) -> None:
    assert find_fork(note_of(8), shown) is None


def test_two_roots_of_the_empty_tree_are_no_fork() -> None:
    assert find_fork(note_of(0), note_of(0, root=bytes(32))) is None


@pytest.mark.parametrize(
    "proof",
    [(), (bytes(32),), tuple(TREE.consistency_proof(7, 13)), (*TREE.consistency_proof(8, 13), bytes(32))],
)
def test_a_proof_that_does_not_hold_is_refused(proof: tuple[bytes, ...]) -> None:
    assert refusal(Submission(8, proof, note_of(13)), seen(8)).status == 422


@pytest.mark.parametrize(("old", "size"), [(0, 8), (8, 8), (0, 0)])
def test_a_proof_where_none_belongs_is_refused(old: int, size: int) -> None:
    assert refusal(Submission(old, (bytes(32),), note_of(size)), seen(old)).status == 422


def test_an_empty_tree_with_another_root_is_refused() -> None:
    answer = refusal(Submission(0, (), note_of(0, root=bytes(32))), Seen(0, EMPTY_ROOT))
    assert (answer.status, answer.is_evidence) == (409, False)


def test_an_unknown_origin_is_404_and_a_foreign_signature_403() -> None:
    assert refusal(submission(0, 3), Seen(), TrustList()).status == 404
    assert refusal(submission(0, 3, key=OTHER), Seen()).status == 403


def test_signatures_of_unknown_keys_do_not_hinder() -> None:
    signed = sign_checkpoint(Checkpoint(KEY.name, 3, TREE.root(3)), [OTHER, KEY]).note
    assert identify(Submission(0, (), signed), TRUST).size == 3


def test_one_of_two_trusted_keys_is_enough_while_a_key_is_replaced() -> None:
    both = TrustList((OTHER.verifier, KEY.verifier))
    assert identify(submission(0, 3), both).size == 3
    assert identify(submission(0, 3, key=OTHER), both).size == 3


@pytest.mark.parametrize("note", [b"x", b"text\n\n\xe2\x80\x94 a AAAAAAA=\n", b"\xff\n\n"])
def test_what_is_no_checkpoint_is_400(note: bytes) -> None:
    assert refusal(Submission(0, (), note), Seen()).status == 400


def test_a_deployment_is_trusted_for_the_logs_under_its_name_alone() -> None:
    deployment = SignerKey.for_deployment("ward-1", bytes(range(32)))
    trust = TrustList(deployments=(deployment.verifier,))
    assert trust.keys_of(KEY.name) == (KEY.verifier,)
    assert identify(submission(0, 3), trust).origin == KEY.name
    for origin in (
        "memos-vault/ward-1",
        "memos-vault/ward-1/",
        "memos-vault/ward-1/a/b",
        "memos-vault/ward-2/clinic-a",
        "memos-vault/ward-1/a b",
        "memos-vault/ward-1/a+b",
        "",
    ):
        assert trust.keys_of(origin) == ()


@given(
    st.integers(0, MAX_TREE_SIZE),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(min_size=1, max_size=200),
)
def test_submissions_round_trip(old: int, proof: list[bytes], note: bytes) -> None:
    given = Submission(old, tuple(proof), note)
    assert parse_submission(given.encode()) == given


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"old 0\n",
        b"old 0\n\n",
        b"old\n\nnote",
        b"old  0\n\nnote",
        b"old 00\n\nnote",
        b"old 01\n\nnote",
        b"old -1\n\nnote",
        b"old +1\n\nnote",
        b"old 1_0\n\nnote",
        b"OLD 1\n\nnote",
        b"old 9223372036854775808\n\nnote",
        b"old " + b"9" * 5000 + b"\n\nnote",
        "old ٣\n\nnote".encode(),
        b"old 1\r\n\nnote",
        b"old 1\nAA==\n\nnote",
        b"old 1\n" + b"A" * 43 + b"\n\nnote",
        b"old 1\n" + b"A" * 43 + b"= \n\nnote",
        b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\nnote",
        bytes(MAX_BODY_SIZE + 1),
    ],
)
def test_what_is_no_submission_is_refused(body: bytes) -> None:
    with pytest.raises(SubmissionMalformedError):
        parse_submission(body)


@given(st.binary(max_size=300))
def test_noise_is_refused_or_is_the_one_form_of_itself(body: bytes) -> None:
    try:
        parsed = parse_submission(body)
    except SubmissionMalformedError:
        return
    assert parsed.encode() == body


def test_sizes_are_read_in_their_one_form() -> None:
    assert parse_size("0") == 0
    assert parse_size(str(MAX_TREE_SIZE)) == MAX_TREE_SIZE
    for text in ("", "00", "-0", "1 ", "1\n", str(MAX_TREE_SIZE + 1), "9" * 20, "²"):
        assert parse_size(text) is None


def test_a_list_of_trusted_logs_round_trips() -> None:
    deployment = SignerKey.for_deployment("ward-1", bytes(32)).verifier
    trust = TrustList((KEY.verifier, OTHER.verifier), (deployment,))
    assert TrustList.parse(trust.encode()) == trust
    assert TrustList.parse("# none\n\n  \n") == TrustList()
    assert TrustList.parse(f"log {KEY.verifier}\n" * 2) == TRUST


@pytest.mark.parametrize(
    "text", ["log", "log x", f"{KEY.verifier}", f"trust {KEY.verifier}", f"log  {KEY.verifier}", "log a+b+c"]
)
def test_a_list_with_anything_else_is_refused_whole(text: str) -> None:
    with pytest.raises(KeyMalformedError):
        TrustList.parse(f"log {KEY.verifier}\n{text}\n")


def test_a_list_beyond_its_bound_is_refused() -> None:
    with pytest.raises(KeyMalformedError, match="at most 10000"):
        TrustList.parse("log x\n" * (MAX_TRUSTED + 1))


def test_the_trees_of_these_tests_are_those_of_the_rfc() -> None:
    assert TREE.root(20) == root_hash(LEAVES)
