"""Generated conversations: the same for a seed, of the schema, and reported on phrases that nobody tuned on."""

import hashlib
from collections import Counter
from itertools import pairwise

from compliance.halumem.asking import UNKNOWN
from compliance.halumem.files import encode_user, parse_user
from compliance.halumem.generator import FULL, SMALL, Fact, Size, generate
from compliance.halumem.judge import DeterministicJudge, Mark
from compliance.halumem.schema import MemorySource, QuestionType, User
from compliance.halumem.slots import SLOTS, Split, phrases

PINNED = {
    Split.DEV: "a411dc6653fa750ebe85db2192f7259ffa1a264f30c3c862b80455c22a74c1b2",
    Split.REPORT: "027d8db80c8e49c8041ccc056bc6da457d2abb3f3683fc91a90e94d7170ab25a",
}


def digest(users: list[User]) -> str:
    return hashlib.sha256(b"".join(encode_user(user) for user in users)).hexdigest()


def test_a_seed_gives_the_same_bytes_for_ever_and_another_seed_others() -> None:
    for split in Split:
        assert digest(list(generate(1, split, SMALL))) == PINNED[split]
        assert digest(list(generate(2, split, SMALL))) != PINNED[split]


def test_full_size_is_twenty_users_and_a_thousand_sessions_of_every_kind_of_point_and_question() -> None:
    users = list(generate(3, Split.REPORT, FULL))
    sessions = [session for user in users for session in user.sessions]
    assert (len(users), len(sessions)) == (20, 1_000)
    sources = Counter(point.memory_source for session in sessions for point in session.memory_points)
    assert min(sources[source] for source in MemorySource) >= 50
    assert {question.question_type for session in sessions for question in session.questions} == set(
        QuestionType
    )
    assert {parse_user(encode_user(user), 1).uuid for user in users} == {user.uuid for user in users}


def test_what_interferes_is_never_true_of_the_same_person() -> None:
    for split in Split:
        for user in generate(4, split, Size(3, 50)):
            points = [point for session in user.sessions for point in session.memory_points]
            false = {point.memory_content for point in points if point.interferes}
            true = {point.memory_content for point in points if not point.interferes}
            assert false
            assert not false & true


def test_an_update_names_the_value_that_held_before() -> None:
    for user in generate(5, Split.DEV, Size(2, 30)):
        seen: set[str] = set()
        updates = 0
        for point in (point for session in user.sessions for point in session.memory_points):
            if point.updates:
                updates += 1
                assert set(point.original_memories) <= seen
            if not point.interferes:
                seen.add(point.memory_content)
        assert updates > 10


def test_answers_rest_on_evidence_told_before_or_are_not_known() -> None:
    for user in generate(6, Split.REPORT, Size(2, 30)):
        told: set[str] = set()
        for session in user.sessions:
            told |= {point.memory_content for point in session.memory_points if not point.interferes}
            for question in session.questions:
                assert {one.memory_content for one in question.evidence} <= told
                assert bool(question.evidence) != (question.answer == UNKNOWN)


def test_every_point_to_be_remembered_can_be_read_off_the_session() -> None:
    judge = DeterministicJudge()
    for split in Split:
        for user in generate(7, split, Size(2, 30)):
            for session in user.sessions:
                said = [turn.content for turn in session.dialogue]
                for point in session.memory_points:
                    if not point.interferes:
                        assert judge.mark(point.memory_content, said, user.name) is Mark.FULLY, (
                            point.memory_content
                        )


def test_sessions_follow_each_other_in_time() -> None:
    for user in generate(8, Split.DEV, SMALL):
        times = [session.started for session in user.sessions]
        assert all(one is not None and two is not None and one < two for one, two in pairwise(times))


def test_the_splits_share_no_template_no_value_and_no_name() -> None:
    dev, report = phrases(Split.DEV), phrases(Split.REPORT)
    for field in (
        "first_names",
        "surnames",
        "people",
        "kin",
        "fillers",
        "asides",
        "replies",
        "corrections",
        "changes",
    ):
        assert not set(getattr(dev, field)) & set(getattr(report, field)), field
    assert set(dev.openers) & set(report.openers) == {""}
    for slot in SLOTS:
        one, two = dev.slots[slot.name], report.slots[slot.name]
        assert not set(one.values) & set(two.values), slot.name
        assert not set(one.facts) & set(two.facts), slot.name
        assert not {one.third, one.hypo, one.claim} & {two.third, two.hypo, two.claim}
        assert one.dated == two.dated == ("{d}" in slot.gold)


def test_a_sentence_begins_with_a_capital() -> None:
    assert Fact(SLOTS[0], "metformin").said("my pill is {v}.") == "My pill is metformin."
