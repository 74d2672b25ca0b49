"""The privacy gate: text in, `Screened` text out.

1. Bound: refuse what is too long or is not Unicode text.
2. View: fold what could hide personal data, remembering where it stood.
3. Detect, and keep what the rules want masked. Tokens that already stand in the text are left alone.
4. Resolve overlaps into runs; a run of a refused kind ends the write.
5. Mask: a token or a redaction mark for each run.
6. Look again at the masked text until nothing new is found, so that screening its own output changes nothing.
   In a long text only around what was masked last, so that the time stays in proportion to the length.

It leaves finding to a `Detector` and the form of tokens to `SubjectTokens`. The gate is no boundary of
confidentiality: whatever it misses is sealed like all the rest.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from policies.privacy import EntityType, PrivacyAction, PrivacyRules
from vault.errors import InputTooLargeError, ScreeningRefusedError, TextInvalidError
from vault.model import SCREENED_ISSUER, Replacement, Screened, Span
from vault.privacy.findings import Detector, Finding
from vault.privacy.joined import hidden_tags, joined
from vault.privacy.known_names import KnownNames
from vault.privacy.tokens import TOKEN, SubjectTokens, redaction_mark
from vault.privacy.view import view_of

_MAX_ROUNDS: Final = 8
_DIGEST_CHARACTERS: Final = 16
_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_READABLE: Final = re.compile("[^\\W_]|[\U000e0001\U000e0020-\U000e007f]")
"""A letter or digit, or a tag character: nobody sees those, and language models read them."""
_SURE: Final = 0.5
"""How sure a finding is at least that counts also where the rules would have it surer: see `readable_kinds`."""
_LONG: Final = 4096
_AROUND: Final = 300
_CUT: Final = re.compile(r"\s")
_STRENGTH: Final = {
    PrivacyAction.ALLOW: 0,
    PrivacyAction.TOKENIZE: 1,
    PrivacyAction.REDACT: 2,
    PrivacyAction.REFUSE: 3,
}


@dataclass(frozen=True, slots=True)
class _Run:
    """A range of the source that will not stay readable; runs never overlap."""

    kind: EntityType
    start: int
    end: int


class PrivacyGate:
    """Screens strings under one set of rules; safe to share between threads if its detector is.

    Args:
        detector: Finds personal data.
        rules: Say what becomes of it.
    """

    def __init__(self, detector: Detector, rules: PrivacyRules) -> None:
        self._detector = detector
        self._rules = rules

    def knowing(self, names: Iterable[str]) -> "PrivacyGate":
        """Return a gate that also finds these names of persons, whole or in parts."""
        stamp = self.stamp  # worked out once: the rules' digest takes longer than a write may
        knowing = PrivacyGate(KnownNames(self._detector, names), self._rules)
        knowing.stamp = stamp
        return knowing

    @cached_property
    def stamp(self) -> str:
        """Detector and rules, as every `Screened` of this gate carries them."""
        digest = self._rules.digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS]
        return f"{self._detector.name} rules:{digest}"

    def screen(self, text: str, tokens: SubjectTokens) -> Screened:
        """Return `text` as it may be stored.

        Raises:
            InputTooLargeError: longer than the rules allow.
            TextInvalidError: holds NUL or a lone surrogate.
            ScreeningRefusedError: holds a kind that the rules refuse; the message names the kind alone.
        """
        if not text:
            return Screened("", (), self.stamp, SCREENED_ISSUER)
        self._check(text)
        runs: list[_Run] = []
        masked = text
        replacements: tuple[Replacement, ...] = ()
        places = [(0, len(text))]
        for _ in range(_MAX_ROUNDS):
            found = [
                _in_source(piece, replacements) for place in places for piece in self._find(masked, *place)
            ]
            if not found:
                break
            runs = sorted([*runs, *found], key=lambda run: run.start)
            masked, replacements = self._mask(text, runs, tokens)
            fresh = {run.start for run in found}
            places = _around(masked, [one.masked for one in replacements if one.source.start in fresh])
        return Screened(masked, replacements, self.stamp, SCREENED_ISSUER)

    def screen_many(self, texts: Sequence[str], tokens: SubjectTokens) -> list[Screened]:
        """Return each text screened, in order.

        Raises:
            InputTooLargeError: one is longer than the rules allow.
            TextInvalidError: one holds NUL or a lone surrogate.
            ScreeningRefusedError: one holds a kind that the rules refuse; nothing is returned.
        """
        for text in texts:
            self._check(text)
        return [self.screen(text, tokens) for text in texts]

    def readable_kinds(self, text: str) -> frozenset[EntityType]:
        """Return the kinds of personal data that stand readable in a screened text, also those that the rules allow."""
        self._check(text)
        if not _READABLE.search(TOKEN.sub("", text)):
            return frozenset()
        return frozenset(
            one.kind
            for one in self._findings(text, self._is_sure)
            if any(_around_tokens(text, one.start, one.end))
        )

    def _check(self, text: str) -> None:
        """Refuse what cannot be screened."""
        if len(text) > self._rules.max_characters:
            raise InputTooLargeError(
                f"expected at most {self._rules.max_characters} characters in a string, got {len(text)}"
            )
        if _NOT_TEXT.search(text):
            raise TextInvalidError("expected Unicode text without NUL and without lone surrogates")

    def _find(self, text: str, first: int, last: int) -> list[_Run]:
        """Return the runs to mask in `text[first:last]`, in order, none touching a token or cut by its borders."""
        if not _READABLE.search(TOKEN.sub("", text[first:last])):
            return []
        found = resolve(
            [
                Finding(one.kind, one.start + first, one.end + first, one.score, one.certain)
                for one in self._findings(text[first:last], self._wants)
            ],
            self._rules,
        )
        runs = [
            _Run(finding.kind, *piece)
            for finding in found
            if (not first or finding.start > first) and (last == len(text) or finding.end < last)
            for piece in _around_tokens(text, finding.start, finding.end)
        ]
        for run in runs:
            if self._rules.rule(run.kind).action is PrivacyAction.REFUSE:
                raise ScreeningRefusedError(f"the privacy rules refuse {run.kind}")
        return runs

    def _findings(self, text: str, wants: Callable[[Finding], bool]) -> list[Finding]:
        """Return what is wanted, as ranges of `text`: seen plainly, across seams, and in tag characters."""
        view = view_of(text)
        seen = list(self._detector.detect(view.text))
        without = joined(view)
        if without is not None:
            seen += without.across(self._detector.detect(without.text))
        wanted = [
            Finding(one.kind, *view.to_source(one.start, one.end), one.score, one.certain)
            for one in seen
            if wants(one)
        ]
        hidden = (Finding(EntityType.SECRET, *place, 1.0) for place in hidden_tags(text))
        return wanted + [
            one
            for one in hidden
            if wants(one) and not any(other.start < one.end and one.start < other.end for other in wanted)
        ]

    def _wants(self, finding: Finding) -> bool:
        """Tell whether the rules do anything about a finding."""
        rule = self._rules.rule(finding.kind)
        return (
            rule.action is not PrivacyAction.ALLOW
            and finding.score >= rule.threshold
            and finding.start < finding.end
        )

    def _is_sure(self, finding: Finding) -> bool:
        """Tell whether a finding counts, whatever the rules do about its kind."""
        threshold = min(self._rules.rule(finding.kind).threshold, _SURE)
        return finding.score >= threshold and finding.start < finding.end

    def _mask(
        self, text: str, runs: Sequence[_Run], tokens: SubjectTokens
    ) -> tuple[str, tuple[Replacement, ...]]:
        """Return the text with each run replaced, and what was replaced."""
        pieces: list[str] = []
        replacements: list[Replacement] = []
        done = length = 0
        made: dict[tuple[EntityType, str], str] = {}
        for run in runs:
            original = text[run.start : run.end]
            redact = self._rules.rule(run.kind).action is PrivacyAction.REDACT
            token = made.get((run.kind, original)) or (
                redaction_mark(run.kind) if redact else tokens.token(run.kind, _plainly(original))
            )
            made[run.kind, original] = token
            pieces += (text[done : run.start], token)
            length += run.start - done
            masked, source = Span(length, length + len(token)), Span(run.start, run.end)
            replacements.append(Replacement(run.kind, masked, source, token, None if redact else original))
            length += len(token)
            done = run.end
        pieces.append(text[done:])
        return "".join(pieces), tuple(replacements)


def resolve(findings: Sequence[Finding], rules: PrivacyRules) -> list[Finding]:
    """Return findings without overlaps: those that overlap become one that covers them all.

    The kind is that of the strongest action, then of a rule before the tagger's opinion, then of the longest.
    """
    runs: list[list[Finding]] = []
    end = -1
    for finding in sorted(findings, key=lambda one: (one.start, -one.end, one.kind)):
        if finding.start < end:
            runs[-1].append(finding)
        else:
            runs.append([finding])
        end = max(end, finding.end)
    return [_union(run, rules) for run in runs]


def _union(findings: Sequence[Finding], rules: PrivacyRules) -> Finding:
    """Return one finding over all of `findings`."""
    best = max(
        findings,
        key=lambda one: (_STRENGTH[rules.rule(one.kind).action], one.certain, one.end - one.start, one.score),
    )
    start, end = min(one.start for one in findings), max(one.end for one in findings)
    return Finding(best.kind, start, end, best.score, best.certain)


def _around_tokens(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of `[start, end)` outside tokens that hold a letter or digit, trimmed to it and its surroundings."""
    borders = [start]
    near = max(0, start - 40)
    for token in TOKEN.finditer(text, near, min(len(text), end + 40)):
        if token.start() < end and token.end() > start:
            borders += [token.start(), token.end()]
    borders.append(end)
    for left, right in zip(borders[::2], borders[1::2], strict=True):
        piece = text[left:right]
        if left < right and _READABLE.search(piece):
            lead = len(piece) - len(piece.lstrip())
            yield left + lead, left + len(piece.rstrip())


def _plainly(original: str) -> str:
    """Return a value as it reads without what hid it, so that it has the token of the plain one."""
    view = view_of(original)
    without = joined(view)
    return without.text if without is not None and without.text.strip() else view.text


def _around(text: str, fresh: Sequence[Span]) -> list[tuple[int, int]]:
    """Return where to look again: everywhere in a short text, else around what was masked last, cut at white space."""
    if len(text) <= _LONG:
        return [(0, len(text))]
    places: list[tuple[int, int]] = []
    for span in fresh:
        cut = _CUT.search(text, max(0, span.start - 2 * _AROUND), max(0, span.start - _AROUND))
        start = cut.start() if cut else max(0, span.start - _AROUND)
        cut = _CUT.search(text, span.end + _AROUND, span.end + 2 * _AROUND)
        end = cut.end() if cut else min(len(text), span.end + _AROUND)
        if places and start <= places[-1][1]:
            places[-1] = (places[-1][0], max(end, places[-1][1]))
        else:
            places.append((start, end))
    return places


def _in_source(run: _Run, replacements: Sequence[Replacement]) -> _Run:
    """Return a run of the masked text as a run of the source."""
    before = bisect_right(replacements, run.start, key=lambda one: one.masked.start)
    shift = replacements[before - 1].source.end - replacements[before - 1].masked.end if before else 0
    return _Run(run.kind, run.start + shift, run.end + shift)
