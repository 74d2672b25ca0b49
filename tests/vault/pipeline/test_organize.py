"""What memories say about each other, in small scenes."""

from collections.abc import Iterator
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.model import EdgeKind, SourceKind, SpeakerRole, TrustState
from vault.pipeline.guard import first_trust
from vault.pipeline.organize import Link, Reason, Remembered, TrustChange, propose
from vault.pipeline.stances import Stance, stance

USER, ASSISTANT, OTHER = SpeakerRole.USER, SpeakerRole.ASSISTANT, SpeakerRole.OTHER


def _scene(*lines: str, episode: str = "one") -> list[Remembered]:
    """Read lines such as `u: text`, `a: text`; ids are their places."""
    roles = {"u": USER, "a": ASSISTANT, "o": OTHER}
    return [
        Remembered(
            str(place), line[3:], roles[line[0]], first_trust(roles[line[0]], SourceKind.CHAT), episode, place
        )
        for place, line in enumerate(lines)
    ]


def _links(memories: list[Remembered]) -> set[tuple[EdgeKind, str, str, Reason]]:
    return {
        (link.kind, link.source, link.target, link.reason)
        for link in propose(memories)
        if isinstance(link, Link)
    }


def _trust(memories: list[Remembered]) -> dict[str, TrustState]:
    return {change.memory: change.trust for change in propose(memories) if isinstance(change, TrustChange)}


@pytest.mark.parametrize(
    ("role", "kind", "expected"),
    [
        (USER, SourceKind.CHAT, TrustState.VERIFIED),
        (ASSISTANT, SourceKind.CHAT, TrustState.CANDIDATE),
        (OTHER, SourceKind.CHAT, TrustState.CANDIDATE),
        (OTHER, SourceKind.MARKDOWN, TrustState.VERIFIED),
        (ASSISTANT, SourceKind.JSON, TrustState.VERIFIED),
    ],
)
def test_only_the_user_s_word_and_documents_are_verified_at_once(
    role: SpeakerRole, kind: SourceKind, expected: TrustState
) -> None:
    assert first_trust(role, kind) is expected


def test_a_user_s_correction_supersedes_what_it_conflicts_with_whoever_said_it() -> None:
    scene = _scene(
        "u: My right knee hurts on stairs.",
        "a: Sorry about your right knee.",
        "u: Actually it's the left knee.",
    )
    assert _links(scene) == {
        (EdgeKind.SUPERSEDES, "2", "0", Reason.USER_CORRECTS),
        (EdgeKind.SUPERSEDES, "2", "1", Reason.USER_CORRECTS),
    }
    assert _trust(scene) == {"0": TrustState.DISPUTED, "1": TrustState.DISPUTED}


def test_a_strong_correction_reaches_back_over_a_long_conversation() -> None:
    filler = [
        f"u: Message {word} about the weather." for word in ("alpha", "beta", "gamma", "delta", "omega")
    ] * 4
    scene = _scene(
        "u: My sister lives with me and has the spare key.",
        *filler,
        "u: No, it's my brother who has the spare key.",
    )
    assert _trust(scene) == {"0": TrustState.DISPUTED}


def test_a_soft_actually_does_not_reach_back_far() -> None:
    filler = [
        f"u: Message {word} about the weather." for word in ("alpha", "beta", "gamma", "delta", "omega")
    ] * 4
    scene = _scene("u: The garden is lovely.", *filler, "u: Actually I love the garden.")
    assert EdgeKind.SUPERSEDES not in {kind for kind, *_ in _links(scene)}


def test_a_question_is_not_superseded() -> None:
    assert _trust(_scene("a: Is it the right knee?", "u: No, it's the left knee.")) == {}


def test_what_a_correction_says_is_not_so_is_what_it_supersedes_however_long_ago() -> None:
    filler = [
        f"u: Message {word} about the weather." for word in ("alpha", "beta", "gamma", "delta", "omega")
    ] * 4
    scene = _scene(
        "u: I take lisinopril, 20 mg.", "u: Dinner costs 30.", *filler, "u: It's not 20 mg, it's 10 mg."
    )
    assert _trust(scene) == {"0": TrustState.DISPUTED}


def test_a_no_that_answers_a_question_corrects_nothing() -> None:
    scene = _scene(
        "u: The key is at my sister's.", "a: Is the key at the office?", "u: No, the key is in the garden."
    )
    assert _links(scene) == set()


def test_a_correction_of_the_main_topic_finds_the_last_turns_although_its_words_are_frequent() -> None:
    talk = [f"u: My knee again, and the {word}." for word in ("alpha", "beta", "gamma", "delta", "omega")] * 4
    earlier = [
        Remembered(f"x{place}", memory.text, USER, TrustState.VERIFIED, "old", place)
        for place, memory in enumerate(_scene(*talk))
    ]
    scene = _scene("u: My right knee hurts.", "u: Actually it's the left knee.")
    assert _trust(earlier + scene) == {"0": TrustState.DISPUTED}


def test_a_retraction_takes_back_the_user_s_own_last_words() -> None:
    scene = _scene("u: Put me down for Monday.", "a: Monday it is.", "u: Scratch that.")
    assert _links(scene) == {(EdgeKind.SUPERSEDES, "2", "0", Reason.USER_RETRACTS)}


def test_the_user_s_confirmation_verifies_the_assistant_s_last_claim() -> None:
    scene = _scene("a: You take 20 mg of lisinopril every morning.", "u: Yes, that's right.")
    assert _links(scene) == {(EdgeKind.SUPPORTS, "1", "0", Reason.USER_CONFIRMS)}
    assert _trust(scene) == {"0": TrustState.VERIFIED}


def test_the_user_s_denial_disputes_the_assistant_s_last_claim() -> None:
    scene = _scene("a: You are allergic to latex.", "u: No, that's wrong.")
    assert _links(scene) == {(EdgeKind.CONTRADICTS, "1", "0", Reason.USER_DENIES)}
    assert _trust(scene) == {"0": TrustState.DISPUTED}


def test_an_answer_in_another_episode_or_by_another_speaker_changes_nothing() -> None:
    claim = _scene("a: You are allergic to latex.")
    later = [Remembered("1", "Yes, that's right.", USER, TrustState.VERIFIED, "two", 0)]
    assert _trust(claim + later) == {}
    assert _trust(_scene("a: You are allergic to latex.", "o: Yes, that's right.")) == {}


def test_the_last_word_on_a_memory_counts() -> None:
    scene = _scene("a: You are allergic to latex.", "u: Yes, that's right.", "u: Wait, no, that's wrong.")
    assert _trust(scene) == {"0": TrustState.DISPUTED}


def test_the_user_repeating_the_assistant_verifies_it() -> None:
    scene = _scene("a: Your next scan is booked for Tuesday.", "u: your next scan is booked for tuesday")
    assert _links(scene) == {(EdgeKind.SUPPORTS, "1", "0", Reason.USER_REPEATS)}
    assert _trust(scene) == {"0": TrustState.VERIFIED}


def test_repetitions_support_the_first_one_and_small_talk_does_not() -> None:
    scene = _scene(
        "u: I walk to the old lighthouse with my dog every single morning before breakfast.",
        "u: i walk to the old lighthouse with my dog, every single morning before breakfast!",
        "u: Well, I walk to the old lighthouse with my dog every single morning before breakfast.",
        "u: Thanks so much!",
        "u: Thanks so much!",
    )
    assert _links(scene) == {
        (EdgeKind.SUPPORTS, "1", "0", Reason.EXACT_REPETITION),
        (EdgeKind.SUPPORTS, "2", "0", Reason.NEAR_REPETITION),
    }


@pytest.mark.parametrize(
    "changed",
    [
        "I take 50 mg of the blue tablet every single morning before breakfast with water.",
        "I take 5 mg of the blue tablet every single evening before breakfast with water.",
        "I never take 5 mg of the blue tablet every single morning before breakfast with water.",
    ],
)
def test_texts_that_differ_in_a_number_a_time_of_day_or_a_negation_are_no_repetition(changed: str) -> None:
    scene = _scene(
        "u: I take 5 mg of the blue tablet every single morning before breakfast with water.", f"u: {changed}"
    )
    assert _links(scene) == set()


def test_memories_with_the_same_token_are_chained_and_redactions_are_not() -> None:
    scene = _scene(
        "u: [PERSON-k7f2qa] called.",
        "u: Met [PERSON-k7f2qa] and [PERSON-k7f2qa].",
        "u: Ask [PERSON-k7f2qa].",
        "u: [US_SSN]",
        "u: [US_SSN]",
    )
    assert _links(scene) == {
        (EdgeKind.SAME_ENTITY, "1", "0", Reason.SAME_TOKEN),
        (EdgeKind.SAME_ENTITY, "2", "1", Reason.SAME_TOKEN),
    }


def test_a_revoked_memory_takes_no_part() -> None:
    gone = Remembered("0", "You are allergic to latex.", ASSISTANT, TrustState.REVOKED, "one", 0)
    assert propose([gone, Remembered("1", "No, that's wrong.", USER, TrustState.VERIFIED, "one", 1)]) == ()


def test_what_is_settled_is_not_proposed_again_so_a_reviewer_s_decision_stands() -> None:
    scene = _scene("a: You are allergic to latex.", "u: No, that's wrong.")
    (link, change) = propose(scene)
    assert isinstance(link, Link)
    assert isinstance(change, TrustChange)
    assert propose(scene, {(link.kind, link.source, link.target)}) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, that's right.", Stance.CONFIRMS),
        ("yep correct", Stance.CONFIRMS),
        ("Exactly!", Stance.CONFIRMS),
        ("That\u2019s right, thank you.", Stance.CONFIRMS),
        ("that's right but the date is off", Stance.NEUTRAL),
        ("No, that's not right.", Stance.DENIES),
        ("Hm, that isn't true", Stance.DENIES),
        ("I never said that.", Stance.DENIES),
        ("Actually, it's the left knee.", Stance.CORRECTS),
        ("no it's Tuesday", Stance.CORRECTS),
        ("Sorry, I meant 40 mg.", Stance.CORRECTS),
        ("It's not penicillin, it's sulfa.", Stance.CORRECTS),
        ("Scratch that.", Stance.RETRACTS),
        ("No worries!", Stance.NEUTRAL),
        ("I actually had a lovely day", Stance.NEUTRAL),
        ("It's not just the knee, but the hip too", Stance.NEUTRAL),
        ("Not sure, but I can ask", Stance.NEUTRAL),
        ("No, that's fine.", Stance.NEUTRAL),
        ("Yes please", Stance.NEUTRAL),
        ("", Stance.NEUTRAL),
    ],
)
def test_the_stance_of_a_turn_is_read_from_its_wording(text: str, expected: Stance) -> None:
    assert stance(text) is expected


_LINES = st.lists(
    st.tuples(
        st.sampled_from("uao"),
        st.sampled_from(
            [
                "My right knee hurts.",
                "Actually it's the left knee.",
                "Yes, that's right.",
                "No, that's wrong.",
                "Scratch that.",
                "[PERSON-k7f2qa] called me",
                "I take 5 mg every morning",
                "I meant 50 mg every morning",
                "",
                "?",
                "thanks",
            ]
        ),
    ),
    max_size=14,
)


@given(_LINES)
def test_proposals_are_deterministic_point_backwards_and_change_only_what_is_not_so_yet(
    lines: list[tuple[str, str]],
) -> None:
    scene = _scene(*(f"{role}: {text}" for role, text in lines))
    proposals = propose(scene)
    assert proposals == propose(scene)
    links = [proposal for proposal in proposals if isinstance(proposal, Link)]
    changes = [proposal for proposal in proposals if isinstance(proposal, TrustChange)]
    assert all(int(link.target) < int(link.source) for link in links)
    assert len({(link.kind, link.source, link.target) for link in links}) == len(links)
    assert len({change.memory for change in changes}) == len(changes)
    for change in changes:
        assert change.link in links
        assert scene[int(change.memory)].trust is not change.trust


def _many(count: int) -> Iterator[str]:
    for place in range(count):
        yield f"u: Visit {place} was about the {place % 97} garden and [PERSON-abcd{'abcdefg'[place % 7]}a] on the {place % 31} bench."
        if place % 10 == 0:
            yield f"u: No, it's the {place % 89} bench in the garden."


def test_the_work_grows_with_the_number_of_memories_and_not_with_its_square() -> None:
    def seconds(count: int) -> float:
        scene = _scene(*_many(count))
        started = process_time()
        propose(scene)
        return process_time() - started

    seconds(50)
    assert seconds(4000) < 20 * seconds(400) + 1
