"""Lint of a policy bundle: everything that is wrong or smells, each with its place, before any of it is loaded.

Owns the checks and their codes (`CODES`). It leaves what the files mean to the modules that load them: what those
refuse is a finding here, and lint goes on to the next line instead of stopping. Pure: bytes in, findings out.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from policies.access import check_model
from policies.bundle import (
    ACCESS_MODEL,
    ACCESS_RULES,
    ACCESS_TESTS,
    BUNDLE_FILES,
    KNOWN_FILES,
    LOG_RULES,
    MAX_FILE_BYTES,
    PRIVACY_RULES,
    RETENTION_RULES,
)
from policies.errors import PolicyInvalidError
from policies.identity import IDENTITY, parse_identity
from policies.log_rules import parse_log_rules
from policies.model import Action, Role
from policies.privacy import parse_privacy_rules
from policies.retention import parse_retention_rules
from policies.review.boxes import cover, sentence
from policies.review.cases import Case, asked_points, failures, parse_cases
from policies.rule import MAX_RULES, Effect, Rule, parse_rules
from policies.space import Answer, Answers, answers, covered, decisive, without_each

MAX_FINDINGS: Final = 1_000
"""Of one bundle: a file of a hundred thousand bad lines is told of, not repeated."""
_GROUPING: Final = re.compile(r"g[0-9]*\s*,")


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The bundle is not loaded."""
    WARNING = "warning"
    """It is not loaded either: a rule or a file does not do what somebody thinks it does."""
    NOTE = "note"
    """For a reviewer to know."""


CODES: Final[Mapping[str, tuple[Severity, str]]] = MappingProxyType(
    {
        "file-missing": (Severity.ERROR, "a file of the bundle is missing"),
        "file-unknown": (Severity.ERROR, "a file that no bundle has: somebody may believe in it"),
        "file-too-large": (Severity.ERROR, "a file is larger than a bundle's files may be"),
        "file-not-plain": (Severity.ERROR, "a byte order mark, a carriage return, a NUL, or no UTF-8"),
        "bundle-invalid": (Severity.ERROR, "name and version do not load"),
        "model-changed": (Severity.ERROR, "the model is not the one that this version decides by"),
        "grouping": (Severity.ERROR, "a line that gives roles: the authenticator does, within one tenant"),
        "tenant-wildcard": (Severity.ERROR, "a line that names tenants: no rule reaches past its own"),
        "rule-malformed": (Severity.ERROR, "a line is no rule"),
        "rule-doubled": (Severity.ERROR, "an id stands on two lines"),
        "rules-too-many": (Severity.ERROR, "more rules than a review can be of"),
        "rules-none": (Severity.ERROR, "no rules: nothing would be allowed"),
        "rule-dead": (Severity.WARNING, "a rule that allows what others deny everywhere: it never decides"),
        "rule-shadowed": (Severity.WARNING, "a rule without which every answer is the same"),
        "rule-conflict": (
            Severity.NOTE,
            "a rule that denies some of what others allow: it wins; told once, with all of them",
        ),
        "privilege-untested": (Severity.WARNING, "something is allowed that no case asks about"),
        "cases-invalid": (Severity.ERROR, "the cases are not of the form of cases"),
        "case-fails": (Severity.ERROR, "the rules do not say what a case expects"),
        "emergency-unbounded": (
            Severity.WARNING,
            "rules let a role declare emergencies, and `emergency_minutes` leaves it out: it may not",
        ),
        "emergency-unused": (Severity.WARNING, "minutes of a role that no rule lets declare emergencies"),
        "privacy-invalid": (Severity.ERROR, "the privacy rules do not load"),
        "retention-invalid": (Severity.ERROR, "the retention rules do not load"),
        "log-invalid": (Severity.ERROR, "the log's rules do not load"),
        "too-many-findings": (Severity.NOTE, "there are more findings than are told"),
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    code: str
    message: str
    file: str
    line: int | None = None
    column: int | None = None

    @property
    def severity(self) -> Severity:
        """How bad."""
        return CODES[self.code][0]

    def __str__(self) -> str:
        """Return it as compilers print it: `file:line:column: severity: message [code]`."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.severity}: {self.message} [{self.code}]"


def lint(files: Mapping[str, bytes]) -> tuple[Finding, ...]:
    """Look through the files of a bundle, by their names in it; at most one more byte of each than allowed is needed.

    Returns:
        What was found, in order of files and lines.
    """
    found: list[Finding] = []
    for finding in _findings(files):
        if len(found) == MAX_FINDINGS:
            found.append(
                Finding("too-many-findings", f"only the first {MAX_FINDINGS} are told", finding.file)
            )
            break
        found.append(finding)
    return tuple(sorted(found, key=lambda one: (one.file, one.line or 0, one.column or 0, one.code)))


def clean(findings: Sequence[Finding]) -> bool:
    """Say whether nothing stands against loading the bundle."""
    return all(one.severity is Severity.NOTE for one in findings)


def _findings(files: Mapping[str, bytes]) -> Iterator[Finding]:
    for name in sorted(set(BUNDLE_FILES) - files.keys()):
        yield Finding("file-missing", "expected this file", name)
    for name in sorted(files.keys() - set(KNOWN_FILES)):
        yield Finding("file-unknown", f"expected no other files than {', '.join(KNOWN_FILES)}", name)
    texts: dict[str, str] = {}
    for name in sorted(set(KNOWN_FILES) & files.keys()):
        bad = list(_not_plain(name, files[name]))
        yield from bad
        if not bad:
            texts[name] = files[name].decode()
    yield from _of_other_files(texts)
    yield from _of_access(texts)
    yield from _of_emergencies(texts)


def _of_emergencies(texts: Mapping[str, str]) -> Iterator[Finding]:
    """Hold who may declare emergencies against who is given minutes for them, where both files load."""
    try:
        minutes = parse_privacy_rules(texts[PRIVACY_RULES]).emergency_minutes
        rules = parse_rules(texts[ACCESS_RULES], ACCESS_RULES)
    except (KeyError, PolicyInvalidError):
        return
    allowed = answers(rules)[..., tuple(Action).index(Action.BREAK_GLASS), :] == Answer.ALLOWED
    may = {role for role, points in zip(Role, allowed, strict=True) if points.any()}
    for role in Role if minutes else ():
        if role in may and role not in minutes:
            message = f"{role} may declare emergencies by the rules, and has no minutes for them"
            yield Finding("emergency-unbounded", message, PRIVACY_RULES)
        if role in minutes and role not in may:
            yield Finding("emergency-unused", f"no rule lets {role} declare emergencies", PRIVACY_RULES)


def _of_access(texts: Mapping[str, str]) -> Iterator[Finding]:
    """Look at rules and cases as far as they are there; the one is no reason not to look at the other."""
    rules: tuple[Rule, ...] = ()
    if ACCESS_RULES in texts:
        wrong = list(_of_lines(texts[ACCESS_RULES]))
        yield from wrong
        if not wrong:
            rules = parse_rules(texts[ACCESS_RULES], ACCESS_RULES)
            yield from _of_rules(rules)
    if ACCESS_TESTS in texts:
        try:
            cases = parse_cases(texts[ACCESS_TESTS], ACCESS_TESTS)
        except PolicyInvalidError as error:
            yield _refused("cases-invalid", ACCESS_TESTS, error)
            return
        if rules:
            yield from _of_cases(rules, cases)


def _not_plain(name: str, content: bytes) -> Iterator[Finding]:
    if len(content) > MAX_FILE_BYTES:
        yield Finding("file-too-large", f"expected at most {MAX_FILE_BYTES} bytes", name)
        return
    if content.startswith(b"\xef\xbb\xbf"):
        yield Finding("file-not-plain", "expected no byte order mark", name, 1, 1)
    for byte, what in ((b"\r", "carriage return"), (b"\x00", "NUL")):
        at = content.find(byte)
        if at >= 0:
            start = content.rfind(b"\n", 0, at) + 1
            line = content.count(b"\n", 0, at) + 1
            yield Finding("file-not-plain", f"expected no {what}", name, line, at - start + 1)
    try:
        content.decode()
    except UnicodeDecodeError as error:
        start = content.rfind(b"\n", 0, error.start) + 1
        line = content.count(b"\n", 0, error.start) + 1
        yield Finding("file-not-plain", "expected UTF-8", name, line, error.start - start + 1)


def _of_other_files(texts: Mapping[str, str]) -> Iterator[Finding]:
    loaders: tuple[tuple[str, str, Callable[[str], object]], ...] = (
        (IDENTITY, "bundle-invalid", parse_identity),
        (ACCESS_MODEL, "model-changed", check_model),
        (PRIVACY_RULES, "privacy-invalid", parse_privacy_rules),
        (RETENTION_RULES, "retention-invalid", parse_retention_rules),
        (LOG_RULES, "log-invalid", parse_log_rules),
    )
    for name, code, load in loaders:
        if name in texts:
            try:
                load(texts[name])
            except PolicyInvalidError as error:
                yield _refused(code, name, error)


def _refused(code: str, name: str, error: PolicyInvalidError) -> Finding:
    return Finding(code, error.reason, name, error.line, error.column)


def _of_lines(text: str) -> Iterator[Finding]:
    """Look at each line by itself: one that is no rule must not hide the next."""
    seen: dict[str, int] = {}
    rules = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        rules += 1
        if rules > MAX_RULES:
            yield Finding("rules-too-many", f"expected at most {MAX_RULES} rules", ACCESS_RULES, number)
            return
        if _GROUPING.match(line):
            message = "expected no grouping, with a tenant or without: roles come from the authenticator"
            yield Finding("grouping", message, ACCESS_RULES, number, 1)
            continue
        try:
            (rule,) = parse_rules(line, ACCESS_RULES)
        except PolicyInvalidError as error:
            yield Finding(_code_of_line(line), error.reason, ACCESS_RULES, number, error.column)
            continue
        if rule.id in seen:
            message = f"its id stands on line {seen[rule.id]} too: expected each id once"
            yield Finding("rule-doubled", message, ACCESS_RULES, number)
        seen.setdefault(rule.id, number)
    if not rules:
        yield Finding("rules-none", "expected at least one rule", ACCESS_RULES)


def _code_of_line(line: str) -> str:
    """Tell a rule about tenants, as Casbin's domains have them, from one that is merely malformed."""
    return "tenant-wildcard" if re.search(r"\b(?:tenant|domain|dom)\b", line.casefold()) else "rule-malformed"


def _of_rules(rules: Sequence[Rule]) -> Iterator[Finding]:
    said = answers(rules)
    decided = decisive(said)
    for rule, without in without_each(rules):
        mine = covered(rule)
        if rule.effect is Effect.ALLOW and (said[mine] == Answer.FORBIDDEN).all():
            yield Finding(
                "rule-dead", f"{rule.id} allows only what other rules deny", ACCESS_RULES, rule.line, 1
            )
            continue
        if (decisive(without) == decided).all():
            message = f"{rule.id} changes no answer: other rules say all of it"
            yield Finding("rule-shadowed", message, ACCESS_RULES, rule.line, 1)
    yield from _of_conflicts(rules, said)


def _of_conflicts(rules: Sequence[Rule], said: Answers) -> Iterator[Finding]:
    """Note each rule that denies some of what others allow: once, with all of them."""
    allowing = {rule.id: covered(rule) for rule in rules if rule.effect is Effect.ALLOW}
    alive = {
        name: points for name, points in allowing.items() if not (said[points] == Answer.FORBIDDEN).all()
    }
    for rule in rules:
        if rule.effect is Effect.DENY:
            mine = covered(rule)
            met = [name for name, points in alive.items() if (mine & points).any()]
            if met:
                message = f"{rule.id} denies some of what others allow: {', '.join(met)}"
                yield Finding("rule-conflict", message, ACCESS_RULES, rule.line, 1)


def _of_cases(rules: Sequence[Rule], cases: Sequence[Case]) -> Iterator[Finding]:
    said = answers(rules)
    for failure in failures(cases, said):
        request = " ".join(str(name) for name in failure.request[1:])
        message = (
            f"{failure.case.name!r} expects {failure.case.expect}, and that does not hold for: {request}"
        )
        yield Finding("case-fails", message, ACCESS_TESTS, failure.case.line)
    yield from _untested(said, cases)


def _untested(said: Answers, cases: Sequence[Case]) -> Iterator[Finding]:
    for box in cover((said == Answer.ALLOWED) & ~asked_points(cases)):
        yield Finding("privilege-untested", f"no case asks whether {sentence(box)}", ACCESS_RULES)
