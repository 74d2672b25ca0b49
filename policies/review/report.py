"""A difference as a reviewer reads it: Markdown for a pull request, the same as plain text, and as one JSON value.

Owns the order (what somebody gains first, the gravest of it on top) and the words. Names in it are ours alone: of rules
and of cases, which a bundle may hold, only ids and quoted names stand here, and Markdown in them is made harmless.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from policies.review.boxes import lists_of, sentence, witness
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
_SECTIONS: Final = {
    Section.ACCESS: "Access model",
    Section.PRIVACY: "Personal data",
    Section.RETENTION: "Retention",
    Section.LOG: "Log",
}
_MARKS: Final = {
    Severity.HIGH: "🔴 high",
    Severity.MEDIUM: "🟠 medium",
    Severity.LOW: "⚪ low",
    Severity.NONE: "none",
}
_ACTIVE: Final = re.compile(r"[^\w .,:;()'/-]")


def markdown(difference: Difference, reviewers: Sequence[str] = ()) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    return "\n".join(_lines(difference, reviewers)) + "\n"


def text(difference: Difference, reviewers: Sequence[str] = ()) -> str:
    """Return the report as plain lines."""
    return re.sub(r"^#+ |\*\*|`|🔴 |🟠 |⚪ ", "", markdown(difference, reviewers), flags=re.MULTILINE)


def _lines(difference: Difference, reviewers: Sequence[str]) -> Iterator[str]:
    yield f"## Policy change: {_MARKS[difference.severity]}"
    yield ""
    yield f"`{difference.base[:19]}…` → `{difference.head[:19]}…`"
    yield ""
    if not difference.files:
        yield "The bundles are the same, byte for byte."
        return
    yield f"Files: {', '.join(f'`{name}`' for name in difference.files)}."
    if not difference.moved and not difference.notes:
        yield ""
        yield "**Nothing is decided otherwise**, by any request there is."
    for way, heading in _HEADINGS.items():
        yield from _of_way(heading, [one for one in difference.moved if one.way is way])
    for section, heading in _SECTIONS.items():
        notes = sorted(
            (one for one in difference.notes if one.section is section), key=lambda one: -one.severity
        )
        if notes:
            yield from ("", f"### {heading}", "")
        for note in notes:
            yield f"- {_MARKS[note.severity]}: {_quiet(note.text)}"
    yield from _of_tests(difference)
    yield from _of_rules(difference)
    if reviewers:
        yield from ("", "### Has to be reviewed by", "")
        yield ", ".join(_quiet(name) for name in reviewers)


def _of_way(heading: str, moved: Sequence[Moved]) -> Iterator[str]:
    if not moved:
        return
    yield from ("", f"### {heading}", "")
    for one in sorted(moved, key=lambda one: -one.severity):
        untested = " **No case asks about this.**" if one.untested else ""
        yield f"- {_MARKS[one.severity]}: {sentence(one.box, _VERBS[one.way])}.{untested}"
        role, resource, relation, assurance, emergency, action, purpose = witness(one.box)[1:]
        yield (
            f"  e.g. `{role} {action} {resource} relation={relation} purpose={purpose} "
            f"assurance={assurance} emergency={emergency}`"
        )


def _of_tests(difference: Difference) -> Iterator[str]:
    told = [
        *(
            f"rule `{_quiet(name)}` is new or changed, and no case needs it"
            for name in difference.rules_untested
        ),
        *(f"case “{_quiet(name)}” is gone" for name in difference.cases_removed),
        *(f"case “{_quiet(name)}” asks or expects something else" for name in difference.cases_changed),
    ]
    if told:
        yield from ("", "### Cases", "", *(f"- {_MARKS[Severity.MEDIUM]}: {one}" for one in told))


def _of_rules(difference: Difference) -> Iterator[str]:
    told = [
        f"{word}: {', '.join(f'`{name}`' for name in names)}"
        for word, names in (
            ("added", difference.rules_added),
            ("changed", difference.rules_changed),
            ("removed", difference.rules_removed),
        )
        if names
    ]
    if told:
        yield from ("", f"Rules {'; '.join(told)}.")


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
                "sentence": sentence(one.box, _VERBS[one.way]),
                "untested": one.untested,
                "where": lists_of(one.box),
                "witness": {
                    name: str(value) for name, value in witness(one.box)._asdict().items() if name != "wall"
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
            "removed": list(difference.rules_removed),
            "untested": list(difference.rules_untested),
        },
        "cases": {"removed": list(difference.cases_removed), "changed": list(difference.cases_changed)},
        "reviewers": list(reviewers),
    }
