"""What changed in a bundle beside its access rules: privacy, retention, the log, in sentences.

Owns the comparison of every value that these files can hold, and how grave each change is (`Severity`). Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from policies.bundle import ACCESS_MODEL, LOG_RULES, PRIVACY_RULES, RETENTION_RULES, Bundle
from policies.emergencies import MAX_MINUTES, longest
from policies.log_rules import AnchorRule, LogRules, StartRule, parse_log_rules
from policies.model import Role
from policies.privacy import EntityType, PrivacyAction, PrivacyRules, parse_privacy_rules
from policies.retention import parse_retention_rules
from policies.retention_model import Floor, RetentionClass, RetentionRules


class Severity(IntEnum):
    """How much a reviewer should look; also the difference's weight."""

    NONE = 0
    LOW = 1
    """Somebody loses something, or nothing is decided otherwise."""
    MEDIUM = 2
    """Somebody gains something."""
    HIGH = 3
    """Somebody gains originals, power over persons or the log, or personal data is less protected."""

    def __str__(self) -> str:
        """Return its name."""
        return self.name.lower()


class Section(StrEnum):
    """What kind of rules changed."""

    ACCESS = "access"
    PRIVACY = "privacy"
    RETENTION = "retention"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Note:
    """A change of another kind of rules, in a sentence."""

    section: Section
    text: str
    severity: Severity


def notes(base: Bundle, head: Bundle) -> Iterator[Note]:
    """Compare what two bundles hold beside access rules and cases.

    Raises:
        PolicyInvalidError: a file does not load.
    """
    if base.files[ACCESS_MODEL] != head.files[ACCESS_MODEL]:
        # Both load, so both are the pinned model: comments or empty lines.
        yield Note(Section.ACCESS, "the model's file changed in comments or empty lines only", Severity.LOW)
    if base.files[PRIVACY_RULES] != head.files[PRIVACY_RULES]:
        yield from privacy_notes(*(parse_privacy_rules(one.text(PRIVACY_RULES)) for one in (base, head)))
    if base.files[RETENTION_RULES] != head.files[RETENTION_RULES]:
        yield from retention_notes(
            *(parse_retention_rules(one.text(RETENTION_RULES)) for one in (base, head))
        )
    if base.files[LOG_RULES] != head.files[LOG_RULES]:
        yield from log_notes(*(parse_log_rules(one.text(LOG_RULES)) for one in (base, head)))


_PROTECTION = (PrivacyAction.ALLOW, PrivacyAction.TOKENIZE, PrivacyAction.REDACT, PrivacyAction.REFUSE)
"""From the weakest on: what is redacted never comes back; what is refused was never there."""


def privacy_notes(base: PrivacyRules, head: PrivacyRules) -> Iterator[Note]:
    """Say what changed about personal data, the least protection first where it matters."""

    def note(text: str, severity: Severity) -> Note:
        return Note(Section.PRIVACY, text, severity)

    for kind in EntityType:
        was, now = base.rule(kind), head.rule(kind)
        if was.action is not now.action:
            weaker = _PROTECTION.index(now.action) < _PROTECTION.index(was.action)
            open_now = ": it stays readable now" if now.action is PrivacyAction.ALLOW else ""
            text = f"{kind.value} is {_past(now.action)}, was {_past(was.action)}{open_now}"
            yield note(text, Severity.HIGH if weaker else Severity.LOW)
        if was.threshold != now.threshold:
            weaker = now.threshold > was.threshold
            text = f"{kind.value} counts from a score of {now.threshold:g}, was {was.threshold:g}: {'less' if weaker else 'more'} is found"
            yield note(text, Severity.MEDIUM if weaker else Severity.LOW)
    yield from _consent_notes(base, head)
    yield from _emergency_notes(base.emergency_minutes, head.emergency_minutes)
    yield from _term_notes(base, head)
    if base.languages != head.languages:
        dropped = set(base.languages) - set(head.languages)
        text = f"screened as {', '.join(head.languages)}, was {', '.join(base.languages)}"
        yield note(text, Severity.HIGH if dropped else Severity.LOW)
    if base.max_characters != head.max_characters:
        text = f"strings up to {head.max_characters:,} characters are screened, was {base.max_characters:,}; longer ones are refused"
        yield note(text, Severity.LOW)
    if base.spacy != head.spacy:
        text = "spaCy's findings are added" if head.spacy else "spaCy's findings are no longer added"
        yield note(text, Severity.LOW if head.spacy else Severity.MEDIUM)


def _consent_notes(base: PrivacyRules, head: PrivacyRules) -> Iterator[Note]:
    needs, now_needs = set(base.consent), set(head.consent)
    if needs - now_needs:
        text = f"used without consent now: {', '.join(sorted(needs - now_needs))}"
        yield Note(Section.PRIVACY, text, Severity.HIGH)
    if now_needs - needs:
        text = f"needs consent now: {', '.join(sorted(now_needs - needs))}"
        yield Note(Section.PRIVACY, text, Severity.LOW)


def _emergency_notes(was: Mapping[Role, int], now: Mapping[Role, int]) -> Iterator[Note]:
    for role in Role:
        if role in was or role in now:
            before, after = longest(was, [role]), longest(now, [role])
            if before != after:
                text = f"emergencies of {role}: {_minutes(after)}, was {_minutes(before)}"
                yield Note(Section.PRIVACY, text, Severity.HIGH if after > before else Severity.LOW)
    if bool(was) != bool(now):
        said = "every role that the rules let declare one" if was else "roles that are named"
        text = f"emergencies may be declared by {said}; the ceiling is {MAX_MINUTES} minutes"
        yield Note(Section.PRIVACY, text, Severity.HIGH if was else Severity.LOW)


def _minutes(most: int) -> str:
    return f"at most {most} minutes" if most else "not at all"


def _term_notes(base: PrivacyRules, head: PrivacyRules) -> Iterator[Note]:
    known, now_known = ({term.casefold() for term in one.allow_terms} for one in (base, head))
    if now_known - known:
        terms = ", ".join(sorted(now_known - known))
        text = f"never personal data any more, whatever the detector says: {terms}"
        yield Note(Section.PRIVACY, text, Severity.MEDIUM)
    if known - now_known:
        text = f"may be personal data again: {', '.join(sorted(known - now_known))}"
        yield Note(Section.PRIVACY, text, Severity.LOW)


def _past(action: PrivacyAction) -> str:
    return {"allow": "allowed", "tokenize": "tokenized", "redact": "redacted", "refuse": "refused"}[
        action.value
    ]


def retention_notes(base: RetentionRules, head: RetentionRules) -> Iterator[Note]:
    """Say what changed about how long memories are kept, and what becomes of them."""
    yield from _class_notes(*({one.id: one for one in rules.classes} for rules in (base, head)))
    yield from _floor_notes(*({one.id: one for one in rules.floors} for rules in (base, head)))
    if base.rules != head.rules:
        yield from _chosen_notes(base, head)
    if base.default != head.default:
        yield _kept(f"what no rule speaks of is of class {head.default}, was {base.default}")
    if base.staleness != head.staleness:
        yield _kept("memories come up for review, or are compressed, at other times")
    if base.placement != head.placement:
        yield _kept("memories move between memory tiers by other rules", Severity.LOW)
    if base.clock != head.clock:
        yield _kept(f"the clock is doubted after {head.clock.longest_gap}, was {base.clock.longest_gap}")


def _kept(text: str, severity: Severity = Severity.MEDIUM) -> Note:
    return Note(Section.RETENTION, text, severity)


def _class_notes(was: Mapping[str, RetentionClass], now: Mapping[str, RetentionClass]) -> Iterator[Note]:
    for name in sorted(was.keys() - now.keys()):
        yield _kept(f"class {name} is gone: memories that have it have no end any more")
    for name in sorted(now.keys() - was.keys()):
        yield _kept(f"class {name} is new: {_term(now[name])}", Severity.LOW)
    for name in sorted(was.keys() & now.keys()):
        before, after = _term(was[name]), _term(now[name])
        if before != after:
            yield _kept(f"class {name}{_longer(was[name], now[name])}: {after}, was {before}")
        elif was[name] != now[name]:
            yield _kept(f"class {name} is described otherwise", Severity.LOW)


def _floor_notes(was: Mapping[str, Floor], now: Mapping[str, Floor]) -> Iterator[Note]:
    for name in sorted(was.keys() - now.keys()):
        yield _kept(f"floor {name} is gone: nothing is kept because of it any more", Severity.HIGH)
    for name in sorted(now.keys() - was.keys()):
        yield _kept(f"floor {name} is new: at least {now[name].at_least}", Severity.LOW)
    for name in sorted(was.keys() & now.keys()):
        if was[name] != now[name]:
            before, after = was[name].at_least, now[name].at_least
            text = f"floor {name}: at least {after}, was {before}"
            raised = after.covers(before) and not before.covers(after)
            others = ", and speaks of others" if str(before) == str(after) else ""
            yield _kept(text + others, Severity.LOW if raised else Severity.HIGH)


def _chosen_notes(base: RetentionRules, head: RetentionRules) -> Iterator[Note]:
    old, new = [rule.id for rule in base.rules], [rule.id for rule in head.rules]
    was, now = ({rule.id: rule for rule in rules.rules} for rules in (base, head))
    for name in sorted(was.keys() - now.keys()):
        yield Note(
            Section.RETENTION, f"rule {name} is gone: it gave class {was[name].class_id}", Severity.MEDIUM
        )
    for name in sorted(now.keys() - was.keys()):
        yield Note(
            Section.RETENTION, f"rule {name} is new: it gives class {now[name].class_id}", Severity.MEDIUM
        )
    for name in sorted(was.keys() & now.keys()):
        if was[name] != now[name]:
            gives = f"gives class {now[name].class_id}, was {was[name].class_id}"
            text = gives if now[name].class_id != was[name].class_id else "speaks of other memories"
            yield Note(Section.RETENTION, f"rule {name} {text}", Severity.MEDIUM)
    if [one for one in old if one in now] != [one for one in new if one in was]:
        text = f"the rules are asked in another order ({', '.join(new)}): the first that speaks of a memory counts"
        yield Note(Section.RETENTION, text, Severity.MEDIUM)


def _term(one: RetentionClass) -> str:
    if one.term is None:
        return "for ever"
    then = f"then {one.then}" + (f" to {one.next}" if one.next else "")
    return f"{one.term} from {one.start}, {then}"


def _longer(was: RetentionClass, now: RetentionClass) -> str:
    """Say whether the term itself got longer, where that can be said without a calendar."""
    if (was.term is None) != (now.term is None):
        return " is kept longer" if now.term is None else " is kept shorter"
    if was.term is None or now.term is None or str(was.term) == str(now.term):
        return ""
    longer, shorter = now.term.covers(was.term), was.term.covers(now.term)
    return "" if longer == shorter else " is kept longer" if longer else " is kept shorter"


def log_notes(base: LogRules, head: LogRules) -> Iterator[Note]:
    """Say what changed about when a receipt is final."""

    def note(text: str, severity: Severity) -> Note:
        return Note(Section.LOG, text, severity)

    if base.required != head.required:
        weaker = head.required < base.required
        text = f"a receipt is final with {head.required} cosignatures, was {base.required}"
        yield note(text, Severity.HIGH if weaker else Severity.LOW)
    gone, came = set(base.witnesses) - set(head.witnesses), set(head.witnesses) - set(base.witnesses)
    if gone:
        yield note(f"witnesses that count no more: {', '.join(sorted(_names(gone)))}", Severity.HIGH)
    if came:
        yield note(f"witnesses that count now: {', '.join(sorted(_names(came)))}", Severity.HIGH)
    if base.anchor is not head.anchor:
        weaker = head.anchor is AnchorRule.OPTIONAL
        yield note(
            f"the anchor is {head.anchor}, was {base.anchor}", Severity.HIGH if weaker else Severity.LOW
        )
    if base.unanswered_at_start is not head.unanswered_at_start:
        weaker = head.unanswered_at_start is StartRule.SERVE
        text = f"with too few witnesses at the start a vault will {head.unanswered_at_start}, was {base.unanswered_at_start}"
        yield note(text, Severity.HIGH if weaker else Severity.LOW)


def _names(keys: set[str]) -> set[str]:
    return {key.partition("+")[0] for key in keys}
