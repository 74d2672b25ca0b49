"""A difference as a reviewer reads it: Markdown for a pull request, the same as plain text, and as one JSON value.

Owns the order (who is asked, what somebody gains, the gravest of it on top) and the words. What a bundle or a file of
reviewers calls things may hold Markdown, mentions or links: names stand in code, where a forge acts on none of them.
"""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

from policies.review.boxes import lists_of, sentence
from policies.review.diff import Difference, Moved, Way
from policies.review.notes import Section, Severity

_HEADINGS: Final = {
    Way.GAINED: "Gained",
    Way.RELEASED: "No longer forbidden",
    Way.LOST: "Lost",
    Way.FORBIDDEN: "Forbidden, whatever other role somebody has",
}
_VERBS: Final = {
    Way.GAINED: "may now",
    Way.RELEASED: "may, where another role allows it,",
    Way.LOST: "may no longer",
    Way.FORBIDDEN: "may never",
}
_NOBODY: Final = {Way.LOST: "nobody may any more", Way.FORBIDDEN: "nobody may"}
"""In place of everybody and the verb."""
_MOST: Final = 25
"""Sentences under one heading of the Markdown: a forge takes a comment of 65,536 characters."""
_SECTIONS: Final = {
    Section.ACCESS: "Access model",
    Section.PRIVACY: "Personal data",
    Section.RETENTION: "Retention",
    Section.LOG: "Log",
}
_HOLDS: Final = {
    Section.PRIVACY: "What is stored already is screened again by the job `rescan`; what is gone for good stays gone.",
    Section.RETENTION: "Terms hold for memories that have the class already, too.",
}
"""For what a change of these rules holds."""
_MARKS: Final = {
    Severity.HIGH: "🔴 high",
    Severity.MEDIUM: "🟠 medium",
    Severity.LOW: "⚪ low",
    Severity.NONE: "none",
}
_ACTIVE: Final = re.compile(r"[^\w .,:;()'/-]")


def markdown(difference: Difference, reviewers: Sequence[str] = ()) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    return "\n".join(_lines(difference, reviewers, _MOST)) + "\n"


def text(difference: Difference, reviewers: Sequence[str] = ()) -> str:
    """Return the report as plain lines."""
    lines = "\n".join(_lines(difference, reviewers, None)) + "\n"
    return html.unescape(re.sub(r"^#+ |\*\*|`|🔴 |🟠 |⚪ ", "", lines, flags=re.MULTILINE))


def _lines(difference: Difference, reviewers: Sequence[str], most: int | None) -> Iterator[str]:
    yield f"## Policy change: {_MARKS[difference.severity]}"
    yield ""
    yield f"`{difference.base[:19]}…` → `{difference.head[:19]}…`"
    yield ""
    if not difference.files:
        yield "The bundles are the same, byte for byte."
        return
    yield f"Files: {', '.join(f'`{name}`' for name in difference.files)}."
    if reviewers:
        yield from ("", f"Has to be reviewed by {', '.join(_code(name) for name in reviewers)}.")
    if not difference.moved and not difference.notes:
        yield ""
        yield "**Nothing is decided otherwise**, by any request there is."
    for way, heading in _HEADINGS.items():
        yield from _of_way(heading, [one for one in difference.moved if one.way is way], most)
    for section, heading in _SECTIONS.items():
        notes = sorted(
            (one for one in difference.notes if one.section is section), key=lambda one: -one.severity
        )
        if notes:
            yield from ("", f"### {heading}", "")
        yield from _at_most(most, [f"- {_MARKS[one.severity]}: {_quiet(one.text)}." for one in notes])
        if notes and section in _HOLDS:
            yield from ("", _HOLDS[section])
    yield from _of_tests(difference, most)
    yield from _of_rules(difference, most)


def _at_most(most: int | None, told: Sequence[str]) -> Iterator[str]:
    yield from told[:most]
    if most is not None and len(told) > most:
        yield f"- … and {len(told) - most:,} more, none of them graver; `--format text` tells all."


def _of_way(heading: str, moved: Sequence[Moved], most: int | None) -> Iterator[str]:
    if not moved:
        return
    yield from ("", f"### {heading}", "")
    yield from _at_most(most, [_told(one) for one in sorted(moved, key=lambda one: -one.severity)])


def _told(one: Moved) -> str:
    why = f" ({'; '.join(one.reasons)})" if one.reasons else ""
    untested = " **No case asks about this.**" if one.untested else ""
    role, resource, relation, assurance, emergency, action, purpose = one.witness[1:]
    return (
        f"- {_MARKS[one.severity]}{why}: {_said(one)}.{untested}\n"
        f"  e.g. `{role} {action} {resource} relation={relation} purpose={purpose} "
        f"assurance={assurance} emergency={emergency}`"
    )


def _said(one: Moved) -> str:
    return sentence(one.box, _VERBS[one.way], _NOBODY.get(one.way, ""))


def _of_tests(difference: Difference, most: int | None) -> Iterator[str]:
    before = ", as it did before"
    told = [
        *(
            f"case {_code(name)} fails under these rules" + before * (name in difference.cases_failing_before)
            for name in difference.cases_failing
        ),
        *(
            f"rule {_code(name)} is new or changed, and no case needs it"
            for name in difference.rules_untested
        ),
        *(f"case {_code(name)} is gone" for name in difference.cases_removed),
        *(f"case {_code(name)} asks or expects something else" for name in difference.cases_changed),
    ]
    if told:
        yield from ("", "### Cases", "")
        yield from _at_most(most, [f"- {_MARKS[Severity.MEDIUM]}: {one}." for one in told])


def _of_rules(difference: Difference, most: int | None) -> Iterator[str]:
    told = [
        *(f"- added: `{name}`" for name in difference.rules_added),
        *(f"- changed: `{name}`: {'; '.join(edits)}" for name, edits in difference.edits.items()),
        *(f"- removed: `{name}`" for name in difference.rules_removed),
    ]
    if told:
        yield from ("", "### Rules", "")
        yield from _at_most(most, told)


def _code(name: str) -> str:
    """Return a stranger's name as code, on one line that steers neither a forge nor a terminal."""
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in name.replace("`", "'"))
    return f"`{shown}`"


def _quiet(written: str) -> str:
    """Take from a text of the bundle what Markdown or a forge would act on: links, mentions, HTML."""
    return _ACTIVE.sub(lambda found: f"&#{ord(found.group())};", written)


def as_json(difference: Difference, reviewers: Sequence[str] = ()) -> dict[str, object]:
    """Return the difference as a JSON value; see docs/schemas/policy-diff.schema.json."""
    return {
        "base": difference.base,
        "head": difference.head,
        "severity": str(difference.severity),
        "files": list(difference.files),
        "moved": [
            {
                "way": one.way.value,
                "severity": str(one.severity),
                "sentence": _said(one),
                "reasons": list(one.reasons),
                "untested": one.untested,
                "where": lists_of(one.box),
                "witness": {
                    name: str(value) for name, value in one.witness._asdict().items() if name != "wall"
                },
            }
            for one in difference.moved
        ],
        "notes": [
            {"section": one.section.value, "severity": str(one.severity), "text": one.text}
            for one in difference.notes
        ],
        "rules": {
            "added": list(difference.rules_added),
            "changed": list(difference.rules_changed),
            "edits": {name: list(edits) for name, edits in difference.edits.items()},
            "removed": list(difference.rules_removed),
            "untested": list(difference.rules_untested),
        },
        "cases": {
            "removed": list(difference.cases_removed),
            "changed": list(difference.cases_changed),
            "failing": list(difference.cases_failing),
            "failing_before": list(difference.cases_failing_before),
        },
        "reviewers": list(reviewers),
    }
