"""Who has to look at a change of policies: a file of rules, as CODEOWNERS has them, by what changed instead of where.

Owns the form of the file. It lies beside the bundle, not in it: who reviews a change is not decided by the change.

    reviewers:
      - ask: [privacy-office]
        when: {severity: high}
      - ask: [security]
        when: {section: access, actions: [reveal, export]}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.bundle import LOG_RULES, PRIVACY_RULES, RETENTION_RULES
from policies.errors import PolicyInvalidError
from policies.model import RESOURCES, Action, Purpose, Role
from policies.review.boxes import lists_of
from policies.review.diff import Difference
from policies.review.notes import Section, Severity
from policies.strict_yaml import read_yaml

MAX_CHARACTERS: Final = 100_000
_LISTS: Final[Mapping[str, frozenset[str]]] = {
    "roles": frozenset(Role),
    "resources": frozenset(one.value for one in RESOURCES),
    "actions": frozenset(Action),
    "purposes": frozenset(Purpose),
}
"""Conditions that speak of access rules alone."""
_SECTIONS: Final[Mapping[str, Section]] = {
    PRIVACY_RULES: Section.PRIVACY,
    RETENTION_RULES: Section.RETENTION,
    LOG_RULES: Section.LOG,
}
"""Of files; all others are about access."""
_SEVERITIES: Final = {str(one): one for one in Severity}


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """Who is asked, and when."""

    ask: tuple[str, ...]
    section: Section | None
    severity: Severity
    """At least so grave."""
    lists: Mapping[str, frozenset[str]]

    def wants(self, change: "_Change") -> bool:
        """Say whether this change is one that they have to see."""
        return (
            (self.section is None or self.section is change.section)
            and change.severity >= self.severity
            and all(not names.isdisjoint(change.lists.get(kind, ())) for kind, names in self.lists.items())
        )


@dataclass(frozen=True, slots=True)
class _Change:
    section: Section
    severity: Severity
    lists: Mapping[str, frozenset[str]]


def parse_reviewers(text: str, file: str) -> tuple[ReviewRule, ...]:
    """Read a file of reviewers; `file` stands in messages.

    Raises:
        PolicyInvalidError: it is not of this form.
    """
    document = read_yaml(text, file, max_characters=MAX_CHARACTERS)
    if not isinstance(document, dict) or document.keys() != {"reviewers"}:
        raise PolicyInvalidError("expected reviewers: a list", file=file)
    listed = document["reviewers"]
    if not isinstance(listed, list) or not listed:
        raise PolicyInvalidError("expected reviewers: a list of at least one rule", file=file)
    return tuple(_rule(value, place, file) for place, value in enumerate(listed, start=1))


def required(rules: tuple[ReviewRule, ...], difference: Difference) -> tuple[str, ...]:
    """Return who has to look at a difference, each once, in the order of the file."""
    changes = list(_changes(difference))
    asked = [name for rule in rules for name in rule.ask if any(rule.wants(one) for one in changes)]
    return tuple(dict.fromkeys(asked))


def _changes(difference: Difference) -> Iterator[_Change]:
    for one in difference.moved:
        lists = {kind: frozenset(names) for kind, names in lists_of(one.box).items()}
        yield _Change(Section.ACCESS, one.severity, lists)
    for note in difference.notes:
        yield _Change(note.section, note.severity, {})
    tests = (
        difference.cases_removed,
        difference.cases_changed,
        difference.cases_failing_now,
        difference.rules_untested,
    )
    if any(tests):
        yield _Change(Section.ACCESS, Severity.MEDIUM, {})
    for name in difference.files:  # also where nothing but a comment, or the name of a rule changed
        yield _Change(_SECTIONS.get(name, Section.ACCESS), Severity.LOW, {})


def _rule(value: object, place: int, file: str) -> ReviewRule:
    def refused(reason: str) -> PolicyInvalidError:
        return PolicyInvalidError(f"rule {place}: {reason}", file=file)

    if not isinstance(value, dict) or value.keys() != {"ask", "when"} or not isinstance(value["when"], dict):
        raise refused("expected ask and when")
    ask, when = value["ask"], value["when"]
    if not isinstance(ask, list) or not ask or not all(isinstance(name, str) and name for name in ask):
        raise refused("expected ask: a list of names")
    if not when.keys() <= {"section", "severity", *_LISTS}:
        raise refused(f"expected when: some of section, severity, {', '.join(_LISTS)}")
    if str(when.get("section", "access")) not in set(Section):
        raise refused(f"expected section: one of {', '.join(Section)}")
    if str(when.get("severity", "low")) not in _SEVERITIES:
        raise refused(f"expected severity: one of {', '.join(_SEVERITIES)}")
    lists: dict[str, frozenset[str]] = {}
    for kind in _LISTS.keys() & when.keys():
        names = when[kind]
        if not isinstance(names, list) or not names or not set(map(str, names)) <= _LISTS[kind]:
            raise refused(f"expected {kind}: some of {', '.join(sorted(_LISTS[kind]))}")
        lists[kind] = frozenset(map(str, names))
    return ReviewRule(
        tuple(ask),
        Section(when["section"]) if "section" in when else None,
        _SEVERITIES[str(when.get("severity", "low"))],
        lists,
    )
