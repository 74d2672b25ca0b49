"""A difference says all that changes, and nothing that does not; applied to the base it gives the head."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.cosignature import WitnessSignerKey
from policies.bundle import (
    ACCESS_MODEL,
    ACCESS_RULES,
    ACCESS_TESTS,
    LOG_RULES,
    PRIVACY_RULES,
    RETENTION_RULES,
    Bundle,
)
from policies.errors import PolicyInvalidError
from policies.model import RESOURCES, Action, Assurance, Emergency, Purpose, Role
from policies.review.boxes import lists_of, sentence
from policies.review.diff import Way, applied, diff, moves
from policies.review.notes import Severity
from policies.review.report import as_json, markdown, text
from policies.rule import RELATIONS, Effect, Rule
from policies.space import answers
from tests.policies.bundles import every_bundle

BASE = Bundle.read()
CLINICIAN = "p, clinician-treats, clinician, private|institutional|public, *, *, *, read|search|reveal, treatment, allow"
Edit = tuple[str, str, str]


def edited(*edits: Edit) -> Bundle:
    files = {name: content.decode() for name, content in BASE.files.items()}
    for name, was, now in edits:
        assert was in files[name], was
        files[name] = files[name].replace(was, now, 1)
    return Bundle({name: content.encode() for name, content in files.items()})


def said(*edits: Edit) -> list[str]:
    """Return the sentences of notes, with their severity."""
    return [f"{one.severity} {one.text}" for one in diff(BASE, edited(*edits)).notes]


@pytest.mark.parametrize("bundle", every_bundle())
def test_a_bundle_does_not_differ_from_itself(bundle: Bundle) -> None:
    found = diff(bundle, bundle)
    assert (found.files, found.moved, found.notes, found.severity) == ((), (), (), Severity.NONE)
    assert "the same, byte for byte" in markdown(found)
    assert as_json(found)["severity"] == "none"


def test_who_gains_is_said_with_a_witness_and_what_no_case_asks() -> None:
    found = diff(
        BASE, edited((ACCESS_RULES, CLINICIAN, CLINICIAN.replace("treatment,", "treatment|payment,")))
    )
    (moved,) = found.moved
    assert (moved.way, moved.severity, moved.untested) == (Way.GAINED, Severity.HIGH, False)
    assert sentence(moved.box, "may now") == "clinician may now read, search, reveal any memory for payment"
    assert found.rules_changed == ("clinician-treats",)
    report = markdown(found, ["privacy-office", "@evil <b>"])
    assert "### Gained" in report
    assert (
        "`clinician reveal private relation=institution purpose=payment assurance=single emergency=none`"
        in report
    )
    assert "(originals; private memory of others): clinician may now" in report
    assert "Has to be reviewed by `privacy-office`, `@evil <b>`." in report, "a forge mentions nobody in code"
    assert "- changed: `clinician-treats`: purposes +payment" in report
    assert "- 🟠 medium: case `a clinician does so for nothing else` fails under these rules." in report
    plain = text(found)
    assert "Gained" in plain
    assert "#" not in plain


def test_who_loses_is_said_and_is_not_grave() -> None:
    found = diff(BASE, edited((ACCESS_RULES, CLINICIAN, CLINICIAN.replace("|reveal", ""))))
    (moved,) = found.moved
    assert (moved.way, moved.severity, found.severity) == (Way.LOST, Severity.LOW, Severity.MEDIUM)
    assert "may no longer reveal any memory for treatment" in markdown(found)


def test_a_rule_that_denies_says_who_loses_and_what_nobody_may_ever() -> None:
    deny = "p, no-reveal-by-key, *, private|institutional|public, *, single, *, reveal, *, deny\n"
    head = edited((ACCESS_RULES, CLINICIAN, deny + CLINICIAN))
    found = diff(BASE, head)
    assert {one.way for one in found.moved} == {Way.LOST, Way.FORBIDDEN}
    assert "nobody may reveal any memory for any purpose, known by one factor" in markdown(found)
    back = diff(head, BASE)
    assert {one.way for one in back.moved} == {Way.GAINED, Way.RELEASED}
    assert back.severity is Severity.HIGH
    assert back.rules_removed == ("no-reveal-by-key",)
    assert found.rules_added == ("no-reveal-by-key",)


def test_a_gain_of_what_is_shared_is_medium() -> None:
    line = "p, member-reads-shared, institution-member, institutional|public, *, *, *, read|search, "
    found = diff(BASE, edited((ACCESS_RULES, line + "treatment|", line + "audit|treatment|")))
    assert [one.severity for one in found.moved] == [Severity.MEDIUM]


def test_changed_cases_and_rules_without_one_are_told() -> None:
    case = "- case: a clinician reads and reveals across owners to treat\n"
    rule = "p, new-rule, service, public, owner, mfa, declared, read, operations, allow\n"
    head = edited(
        (ACCESS_TESTS, case, "- case: a doctor does\n"),
        (
            ACCESS_TESTS,
            "when: {action: organize, purpose: operations}",
            "when: {action: organize, purpose: [operations]}",
        ),
        (
            ACCESS_TESTS,
            "when: {action: review, purpose: legal}",
            "when: {action: [review, hold], purpose: legal}",
        ),
        (
            ACCESS_TESTS,
            "when: {action: [read, search, reveal], purpose: any}\n  expect: deny\n  because: its output",
            "when: {action: [write], purpose: audit}\n  expect: deny\n  because: its output",
        ),
        (ACCESS_RULES, CLINICIAN, rule + CLINICIAN),
    )
    found = diff(BASE, head)
    assert found.cases_removed == ("a clinician reads and reveals across owners to treat",)
    assert found.cases_changed == (
        "a privacy officer judges emergencies afterwards",
        "a service neither reads out nor reveals",
    )
    assert found.rules_untested == ("new-rule",)
    assert [one.untested for one in found.moved] == [True]
    report = markdown(found)
    assert "**No case asks about this.**" in report
    assert "rule `new-rule` is new or changed, and no case needs it" in report
    assert "is gone" in report
    assert "asks or expects something else" in report
    only_cases = diff(BASE, edited((ACCESS_TESTS, case, "- case: a doctor does\n")))
    assert only_cases.severity is Severity.MEDIUM
    assert "**Nothing is decided otherwise**" in markdown(only_cases)


def test_a_comment_changes_nothing_but_the_file() -> None:
    found = diff(BASE, edited((ACCESS_RULES, "# Who may do what.", "# Who may do what!")))
    assert (found.moved, found.files, found.severity) == ((), (ACCESS_RULES,), Severity.LOW)
    model = diff(BASE, edited((ACCESS_MODEL, "# Cheapest", "# The cheapest")))
    assert [one.text for one in model.notes] == ["the model's file changed in comments or empty lines only"]
    assert "### Access model" in markdown(model)


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (
            "EMAIL:          {action: tokenize",
            "EMAIL:          {action: allow",
            "high EMAIL is allowed, was tokenized: it stays readable now",
        ),
        (
            "SECRET:         {action: redact",
            "SECRET:         {action: refuse",
            "low SECRET is refused, was redacted",
        ),
        (
            "SECRET:         {action: redact",
            "SECRET:         {action: tokenize",
            "high SECRET is tokenized, was redacted",
        ),
        (
            "PERSON:         {action: tokenize, threshold: 0.15",
            "PERSON:         {action: tokenize, threshold: 0.9",
            "medium PERSON counts from a score of 0.9, was 0.15: less is found",
        ),
        (
            "PERSON:         {action: tokenize, threshold: 0.15",
            "PERSON:         {action: tokenize, threshold: 0.05",
            "low PERSON counts from a score of 0.05, was 0.15: more is found",
        ),
        (
            "  - ADHD\n",
            "  - ADHD\n  - Keller\n",
            "medium never personal data any more, whatever the detector says: keller",
        ),
        ("  - ADHD\n", "", "low may be personal data again: adhd"),
        ("languages: [en]", "languages: [en, de]", "low screened as en, de, was en"),
        ("languages: [en]", "languages: [de]", "high screened as de, was en"),
        (
            "max_characters: 200000",
            "max_characters: 1000",
            "low strings up to 1,000 characters are screened, was 200,000; longer ones are refused",
        ),
        ("spacy: false", "spacy: true", "low spaCy's findings are added"),
    ],
)
def test_changes_about_personal_data_are_said(was: str, now: str, expected: str) -> None:
    assert said((PRIVACY_RULES, was, now)) == [expected]


def test_a_detector_that_is_taken_away_is_said() -> None:
    head = edited((PRIVACY_RULES, "spacy: false", "spacy: true"))
    assert [f"{one.severity} {one.text}" for one in diff(head, BASE).notes] == [
        "medium spaCy's findings are no longer added"
    ]


def bounds(minutes: str) -> Bundle:
    return edited((PRIVACY_RULES, "spacy: false", f"spacy: false\nemergency_minutes: {minutes}"))


def test_emergencies_that_last_longer_are_grave_and_shorter_ones_are_not() -> None:
    def notes_of(base: Bundle, head: Bundle) -> list[tuple[Severity, str]]:
        return [(one.severity, one.text) for one in diff(base, head).notes]

    short, long = bounds("{clinician: 60}"), bounds("{clinician: 120, institution-member: 10}")
    same = bounds("{institution-member: 10, clinician: 120}")
    assert notes_of(long, same) == [], "in another order"
    assert notes_of(short, long) == [
        (Severity.HIGH, "emergencies of institution-member: at most 10 minutes, was not at all"),
        (Severity.HIGH, "emergencies of clinician: at most 120 minutes, was at most 60 minutes"),
    ]
    assert {severity for severity, _ in notes_of(long, short)} == {Severity.LOW}
    assert notes_of(BASE, short) == [
        (Severity.LOW, "emergencies of clinician: at most 60 minutes, was at most 480 minutes"),
        (Severity.LOW, "emergencies may be declared by roles that are named; the ceiling is 480 minutes"),
    ]
    assert notes_of(short, BASE)[-1] == (
        Severity.HIGH,
        "emergencies may be declared by every role that the rules let declare one; the ceiling is 480 minutes",
    )


def test_purposes_that_need_consent_and_that_need_it_no_more_are_said() -> None:
    head = edited((PRIVACY_RULES, "spacy: false", "spacy: false\nconsent: [research]"))
    assert [(one.severity, one.text) for one in diff(BASE, head).notes] == [
        (Severity.LOW, "needs consent now: research")
    ]
    assert [(one.severity, one.text) for one in diff(head, BASE).notes] == [
        (Severity.HIGH, "used without consent now: research")
    ]


HEALTH = "    term: P30Y\n    from: event\n    then: ask\n"
ROWS: list[tuple[list[tuple[str, str]], list[str]]] = [
    (
        [("term: P30Y", "term: P60Y")],
        [
            "medium class health-record is kept longer: P60Y from event, then ask, was P30Y from event, then ask"
        ],
    ),
    (
        [("term: P30Y", "term: P20Y")],
        [
            "medium class health-record is kept shorter: P20Y from event, then ask, was P30Y from event, then ask"
        ],
    ),
    (
        [(HEALTH, "    term: forever\n")],
        ["medium class health-record is kept longer: for ever, was P30Y from event, then ask"],
    ),
    (
        [(HEALTH, HEALTH.replace("event", "recorded"))],
        ["medium class health-record: P30Y from recorded, then ask, was P30Y from event, then ask"],
    ),
    ([("What was said or written", "All that was said")], ["low class health-record is described otherwise"]),
    (
        [("  - id: general\n", "  - id: spare\n    description: some\n    term: forever\n  - id: general\n")],
        ["low class spare is new: for ever"],
    ),
    (
        [("  - id: finance-documentation\n    at-least: P7Y\n    entities: [IBAN, BANK_ACCOUNT]\n", "")],
        ["high floor finance-documentation is gone: nothing is kept because of it any more"],
    ),
    ([("at-least: P7Y", "at-least: P8Y")], ["low floor finance-documentation: at least P8Y, was P7Y"]),
    ([("at-least: P7Y", "at-least: P6Y")], ["high floor finance-documentation: at least P6Y, was P7Y"]),
    (
        [("entities: [IBAN, BANK_ACCOUNT]\n\nrules", "entities: [IBAN]\n\nrules")],
        ["high floor finance-documentation: at least P7Y, was P7Y, and speaks of others"],
    ),
    (
        [("floors:\n", "floors:\n  - id: low\n    at-least: P1D\n    entities: [CARD]\n")],
        ["low floor low is new: at least P1D"],
    ),
    (
        [("  - id: cards\n    class: card-data\n    when: {entities: [CARD]}\n", "")],
        ["medium rule cards is gone: it gave class card-data"],
    ),
    (
        [
            (
                "default: general",
                "  - id: more\n    class: general\n    when: {purposes: [legal]}\n\ndefault: general",
            )
        ],
        ["medium rule more is new: it gives class general"],
    ),
    (
        [("when: {entities: [CARD]}", "when: {entities: [CARD, CARD_CODE]}")],
        ["medium rule cards speaks of other memories"],
    ),
    (
        [("  - id: cards\n    class: card-data", "  - id: cards\n    class: general")],
        ["medium rule cards gives class general, was card-data"],
    ),
    (
        [("default: general", "default: health-record")],
        ["medium what no rule speaks of is of class health-record, was general"],
    ),
    (
        [("unused: P2Y", "unused: P3Y")],
        ["medium memories come up for review, or are compressed, at other times"],
    ),
]


@pytest.mark.parametrize(("edits", "expected"), ROWS)
def test_changes_about_retention_are_said(edits: list[tuple[str, str]], expected: list[str]) -> None:
    assert said(*((RETENTION_RULES, was, now) for was, now in edits)) == expected


def test_shorter_for_ever_and_a_class_that_is_gone_are_said() -> None:
    spare = (
        "  - id: general\n",
        "  - id: spare\n    description: some\n    term: forever\n  - id: general\n",
    )
    head = edited((RETENTION_RULES, *spare))
    assert [one.text for one in diff(head, BASE).notes] == [
        "class spare is gone: memories that have it have no end any more"
    ]
    ever = edited((RETENTION_RULES, HEALTH, "    term: forever\n"))
    assert [one.text for one in diff(ever, BASE).notes] == [
        "class health-record is kept shorter: P30Y from event, then ask, was for ever"
    ]


def test_terms_of_which_neither_is_always_longer_are_said_without_a_verdict() -> None:
    month, days = (edited((RETENTION_RULES, "term: P2Y", f"term: {term}")) for term in ("P1M", "P30D"))
    assert [one.text for one in diff(month, days).notes] == [
        "class card-data: P30D from last-used, then ask, was P1M from last-used, then ask"
    ]


def test_the_order_of_rules_and_the_clock_are_said() -> None:
    first, second = (
        "  - id: treatment\n    class: health-record\n    when: {purposes: [treatment]}\n",
        "  - id: medical-numbers\n    class: health-record\n    when: {entities: [MEDICAL_RECORD]}\n",
    )
    (note,) = said((RETENTION_RULES, first + second, second + first))
    assert note.startswith("medium the rules are asked in another order (medical-numbers, treatment")
    (clock,) = said((RETENTION_RULES, "longest-gap: P30D", "longest-gap: P40D"))
    assert clock == "medium the clock is doubted after P40D, was P30D"
    (placed,) = said((RETENTION_RULES, "unused-for: P30D", "unused-for: P31D"))
    assert placed == "low memories move between memory tiers by other rules"


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        ("anchor: optional", "anchor: required", ["low the anchor is required, was optional"]),
        (
            "unanswered_at_start: serve",
            "unanswered_at_start: refuse",
            ["low with too few witnesses at the start a vault will refuse, was serve"],
        ),
    ],
)
def test_changes_about_the_log_are_said_in_both_directions(was: str, now: str, expected: list[str]) -> None:
    assert said((LOG_RULES, was, now)) == expected
    back = diff(edited((LOG_RULES, was, now)), BASE)
    assert [one.severity for one in back.notes] == [Severity.HIGH]


def test_witnesses_that_come_and_go_are_said() -> None:
    one, two = (
        str(WitnessSignerKey(f"{name}.example", bytes([place]) * 32).verifier)
        for place, name in enumerate(("one", "two"))
    )
    listed = next(line for line in BASE.text(LOG_RULES).splitlines() if line.startswith("witnesses:"))
    required = next(line for line in BASE.text(LOG_RULES).splitlines() if line.startswith("required:"))
    with_one = edited((LOG_RULES, listed, f"witnesses: ['{one}']"), (LOG_RULES, required, "required: 1"))
    with_two = edited((LOG_RULES, listed, f"witnesses: ['{two}']"))
    found = diff(with_one, with_two)
    assert [(note.severity, note.text) for note in found.notes] == [
        (Severity.HIGH, "a receipt is final with 0 cosignatures, was 1"),
        (Severity.HIGH, "witnesses that count no more: one.example"),
        (Severity.HIGH, "witnesses that count now: two.example"),
    ]
    assert diff(with_two, with_one).notes[0].severity is Severity.LOW


def test_a_bundle_that_does_not_load_is_not_compared() -> None:
    with pytest.raises(PolicyInvalidError, match=r"rules/policy\.csv, line"):
        diff(BASE, edited((ACCESS_RULES, "clinician, private", "doctor, private")))


def some(names: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.sets(st.sampled_from(names), min_size=1).map(frozenset)


RULES = st.lists(
    st.builds(
        Rule,
        id=st.just("a-rule"),
        roles=some(tuple(Role)),
        resources=some(RESOURCES),
        relations=some(RELATIONS),
        assurances=some(tuple(Assurance)),
        emergencies=some(tuple(Emergency)),
        actions=some(tuple(Action)),
        purposes=some(tuple(Purpose)),
        effect=st.sampled_from(Effect),
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(RULES, RULES)
def test_the_boxes_of_a_difference_turn_the_base_into_the_head(base: list[Rule], head: list[Rule]) -> None:
    before, after = answers(base), answers(head)
    moved = list(moves(before, after))
    assert (applied(before, moved) == after).all()
    assert (moved == []) is bool(np.array_equal(before, after))


def test_a_difference_is_one_json_value_with_a_witness_of_each_box() -> None:
    found = as_json(
        diff(BASE, edited((ACCESS_RULES, CLINICIAN, CLINICIAN.replace("treatment,", "research,"))))
    )
    moved = found["moved"]
    assert isinstance(moved, list)
    assert {one["way"] for one in moved} == {"gained", "lost"}
    assert all(
        set(one["witness"]) == {"role", "resource", "relation", "assurance", "emergency", "action", "purpose"}
        for one in moved
    )


def without(rule_id: str) -> Edit:
    line = next(line for line in BASE.text(ACCESS_RULES).splitlines() if line.startswith(f"p, {rule_id}, "))
    return ACCESS_RULES, line + "\n", ""


def test_what_nobody_is_left_to_answer_for_is_grave_and_said_in_its_own_words() -> None:
    found = diff(BASE, edited(without("officer-holds")))
    (moved,) = found.moved
    assert (moved.way, moved.orphaned, moved.severity) == (Way.LOST, True, Severity.HIGH)
    report = markdown(found)
    assert "(no role is left that may): privacy-officer may no longer place and release legal holds" in report
    assert "- removed: `officer-holds`" in report
    assert found.cases_failing == ("a privacy officer answers for the rights of persons",)
    assert (found.cases_failing_now, found.cases_failing_before) == (found.cases_failing, ())


def test_what_another_still_answers_for_is_less_grave() -> None:
    both = "p, auditor-reads-log, auditor|privacy-officer, audit-log,"
    base = edited((ACCESS_RULES, "p, auditor-reads-log, auditor, audit-log,", both))
    (moved,) = diff(base, BASE).moved
    assert (moved.way, moved.orphaned, moved.severity) == (Way.LOST, False, Severity.MEDIUM)


def test_sentences_of_one_difference_do_not_repeat_each_other() -> None:
    found = diff(BASE, edited(without("member-reads-shared")))
    assert len(found.moved) == 3, "treatment in an emergency stays, by another rule"
    for one in found.moved[1:]:
        assert lists_of(one.box)["purposes"] == ["treatment"]


def test_a_flipped_effect_is_an_edit() -> None:
    head = edited((ACCESS_RULES, CLINICIAN, CLINICIAN.replace("allow", "deny")))
    assert diff(BASE, head).edits == {"clinician-treats": ("effect deny, was allow",)}


def test_a_long_report_is_cut_for_a_forge_and_whole_as_text() -> None:
    cases = "".join(
        f"- case: 'one `more` {number} \\u202e'\n  given: {{roles: [auditor], resource: vault, relation: any}}\n"
        "  when: {action: write, purpose: any}\n  expect: deny\n  because: an auditor writes nothing\n"
        for number in range(40)
    ).replace("\\u202e", "\u202e")
    base = edited((ACCESS_TESTS, "- case: tenants never meet", cases + "- case: tenants never meet"))
    found = diff(base, BASE)
    report = markdown(found)
    assert "- … and 15 more, none of them graver" in report
    assert "case `one 'more' 0 \\u202e` is gone" in report
    assert "15 more" not in text(found)
    assert "one 'more' 39" in text(found)


def test_text_holds_no_entities() -> None:
    found = diff(BASE, edited((PRIVACY_RULES, "  - ADHD\n", '  - ADHD\n  - "<b>@x"\n')))
    assert "&#60;b&#62;&#64;x" in markdown(found)
    assert "<b>@x" in text(found)


def test_a_bundle_whose_case_fails_differs_from_itself_in_nothing_and_a_change_beside_it_is_not_blamed() -> (
    None
):
    failing = BASE.text(ACCESS_TESTS).replace("expect: allow", "expect: deny", 1)
    broken = Bundle({**BASE.files, ACCESS_TESTS: failing.encode()})
    same = diff(broken, broken)
    assert (same.severity, len(same.cases_failing), same.cases_failing_now) == (Severity.NONE, 1, ())
    beside = Bundle({**broken.files, ACCESS_TESTS: (failing + "# more\n").encode()})
    found = diff(broken, beside)
    assert (found.severity, found.cases_failing_before) == (Severity.LOW, found.cases_failing)
    assert "fails under these rules, as it did before" in text(found)
    assert as_json(found)["cases"]["failing_before"] == list(found.cases_failing)  # type: ignore[index]  # a JSON object
