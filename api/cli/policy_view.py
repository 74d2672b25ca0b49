"""Answers of the commands that review policies, as JSON values and as lines for people."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel

from policies.facts import Place, read_facts
from policies.model import Purpose
from policies.review.boxes import Box, lists_of, sentence
from policies.review.cases import Case, Failure
from policies.review.explain import Asked, Explanation, explain
from policies.review.lint import Finding, clean
from policies.review.mutation import Mutation
from policies.review.replay import Logged, Replayed
from policies.rule import Question, Rule

if TYPE_CHECKING:
    from api.cli.policy_evidence import Evidence


class RequestView(BaseModel):
    """One request, as a point of the space."""

    role: str
    resource: str
    relation: str
    assurance: str
    emergency: str
    action: str
    purpose: str

    @classmethod
    def of(cls, question: Question) -> Self:
        """Show a point."""
        return cls(**{name: str(value) for name, value in question._asdict().items() if name != "wall"})

    def __str__(self) -> str:
        """Return it as one line."""
        return (
            f"{self.role} {self.action} {self.resource} ({self.relation}) for {self.purpose}, "
            f"{self.assurance}, emergency {self.emergency}"
        )


class FindingView(BaseModel):
    """A finding of lint."""

    code: str
    severity: str
    message: str
    file: str
    line: int | None
    column: int | None


class FindingsView(BaseModel):
    """What lint found."""

    clean: bool
    findings: list[FindingView]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> Self:
        """Show findings."""
        shown = [
            FindingView(
                code=one.code,
                severity=one.severity.value,
                message=one.message,
                file=one.file,
                line=one.line,
                column=one.column,
            )
            for one in findings
        ]
        return cls(clean=clean(findings), findings=shown)


class FailureView(BaseModel):
    """A case that does not hold."""

    case: str
    line: int
    expected: str
    because: str
    request: RequestView


class SurvivorView(BaseModel):
    """A change of a rule that no case notices."""

    mutant: str
    line: int
    request: RequestView


class TestView(BaseModel):
    """What running a bundle's cases found."""

    __test__ = False  # no class of tests, whatever it is called

    passed: bool
    cases: int
    rules: int
    failed: list[FailureView]
    rules_not_covered: list[str]
    mutants: int | None
    survivors: list[SurvivorView]

    @classmethod
    def of(
        cls,
        rules: Sequence[Rule],
        cases: Sequence[Case],
        failed: Sequence[Failure],
        covered: frozenset[str],
        mutation: Mutation | None,
    ) -> Self:
        """Show what was found."""
        missed = [rule.id for rule in rules if rule.id not in covered]
        survivors = () if mutation is None else mutation.survivors
        return cls(
            passed=not failed and not missed and not survivors,
            cases=len(cases),
            rules=len(rules),
            failed=[
                FailureView(
                    case=one.case.name,
                    line=one.case.line,
                    expected=one.case.expect.value,
                    because=one.case.because,
                    request=RequestView.of(one.request),
                )
                for one in failed
            ],
            rules_not_covered=missed,
            mutants=None if mutation is None else mutation.tried,
            survivors=[
                SurvivorView(
                    mutant=str(one.mutant), line=one.mutant.rule.line, request=RequestView.of(one.request)
                )
                for one in survivors
            ],
        )

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        for one in self.failed:
            yield f"FAILS      {one.case} (line {one.line}): expected {one.expected}, because {one.because}"
            yield f"           not so for: {one.request}"
        for rule in self.rules_not_covered:
            yield f"UNCOVERED  {rule}: no case needs it"
        for mutant in self.survivors:
            yield f"SURVIVES   {mutant.mutant} (line {mutant.line}): no case asks for"
            yield f"           {mutant.request}"
        yield f"{self.cases} cases, {len(self.failed)} fail"
        yield f"{self.rules} rules, {len(self.rules_not_covered)} without a case that needs them"
        if self.mutants is not None:
            yield f"{self.mutants} changes of a rule that change an answer, {len(self.survivors)} survive"


class NearView(BaseModel):
    """A rule that does not speak of a request, and why not."""

    rule: str
    line: int
    missing: list[str]


class ExplanationView(BaseModel):
    """Why a request is decided as it is."""

    allowed: bool
    reason: str
    rules: list[str]
    nearest: list[NearView]

    @classmethod
    def of(cls, found: Explanation) -> Self:
        """Show an explanation."""
        return cls(
            allowed=found.allowed,
            reason=found.reason,
            rules=[f"{rule.id} (line {rule.line})" for rule in found.rules],
            nearest=[
                NearView(rule=one.rule.id, line=one.rule.line, missing=list(one.missing))
                for one in found.nearest
            ],
        )

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"{'allowed' if self.allowed else 'denied'}: {self.reason}"
        for rule in self.rules:
            yield f"  {rule}"
        for near in self.nearest:
            yield f"  nearest: {near.rule} (line {near.line})"
            for missing in near.missing:
                yield f"    {missing}"


class EntryView(BaseModel):
    """Why a decision of the log was made."""

    index: int
    allowed: bool
    same_bundle: bool
    """Whether these rules are those that decided."""
    facts: str | None
    why: dict[str, ExplanationView]
    """By kind of thing that was asked for: resource/relation."""
    unknown: str | None
    """Why it cannot be explained."""

    @classmethod
    def of(cls, logged: Logged, rules: Sequence[Rule], *, same_bundle: bool) -> Self:
        """Explain a logged decision under rules, from what the log says alone."""
        unknown, why = None, dict[str, ExplanationView]()
        if logged.asked is None:
            unknown = "payload erased" if logged.erased else "the entry does not say what was asked"
        else:
            try:
                facts, purpose = read_facts(logged.asked), Purpose(logged.purpose or "")
            except ValueError:
                unknown = "the entry names what this version does not know"
            else:
                for resource, relation in facts.over:
                    asked = Asked(
                        facts.roles,
                        resource,
                        relation,
                        facts.assurance,
                        facts.emergency,
                        facts.action,
                        purpose,
                    )
                    why[f"{resource.value}/{relation.value}"] = ExplanationView.of(explain(rules, asked))
        return cls(
            index=logged.leaf_index,
            allowed=logged.allowed,
            same_bundle=same_bundle,
            facts=logged.asked,
            why=why,
            unknown=unknown,
        )

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"entry {self.index}: {'allowed' if self.allowed else 'denied'}, {self.facts or 'asked it does not say what'}"
        if not self.same_bundle:
            yield "these are not the rules that decided then: what follows is what they would say"
        if self.unknown is not None:
            yield f"cannot be explained: {self.unknown}"
        for place, one in self.why.items():
            yield f"{place}"
            for line in one.lines():
                yield f"  {line}"


class BoxView(BaseModel):
    """Points that are allowed, as a sentence and as lists of names."""

    sentence: str
    where: dict[str, list[str]]


class AllowedView(BaseModel):
    """All that is allowed within what was asked."""

    together: bool
    """Whether the roles are those of one principal that has all of them; otherwise each of them is allowed it."""
    allowed: list[BoxView]

    @classmethod
    def of(cls, boxes: Sequence[Box], who: str = "") -> Self:
        """Show boxes; `who` stands in sentences where the roles are one principal's."""
        shown = [BoxView(sentence=sentence(box, who=who), where=lists_of(box)) for box in boxes]
        return cls(together=bool(who), allowed=shown)


class FlipView(BaseModel):
    """Logged decisions that would end otherwise."""

    outcome: str
    count: int
    roles: list[str]
    assurance: str
    emergency: str
    action: str
    purpose: str
    before: list[str]
    now: list[str]
    principals: dict[str, int]
    more_principals: int
    first: int
    last: int


class EvidenceView(BaseModel):
    """What a replay of an evidence bundle rests on."""

    state: str
    """`verified` or `not verified`."""
    log: str
    first: int
    stop: int
    size: int


class ReplayView(BaseModel):
    """What a replay found."""

    evidence: EvidenceView | None
    """None: the vault's own log, each entry of which was what its leaf says."""
    decided: int
    same: int
    flipped: int
    untold: int
    """Of these, decisions of kinds that are not among `flips`: there are too many kinds."""
    missing: dict[str, int]
    share_missing: float
    flips: list[FlipView]

    @classmethod
    def of(cls, found: Replayed, evidence: "Evidence | None" = None) -> Self:
        """Show what was found."""
        return cls(
            evidence=None if evidence is None else EvidenceView(**asdict(evidence)),
            decided=found.decided,
            same=found.same,
            flipped=found.flipped,
            untold=found.untold,
            missing={reason.value: count for reason, count in sorted(found.missing.items())},
            share_missing=round(found.share_missing, 6),
            flips=[
                FlipView(
                    outcome=one.outcome.value,
                    count=one.count,
                    roles=sorted(one.facts.roles),
                    assurance=one.facts.assurance.value,
                    emergency=one.facts.emergency.value,
                    action=one.facts.action.value,
                    purpose=one.purpose.value,
                    before=_places(one.facts.allowed),
                    now=_places(one.now),
                    principals=dict(sorted(one.principals.items())),
                    more_principals=one.more_principals,
                    first=one.first,
                    last=one.last,
                )
                for one in found.flips
            ],
        )

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        if self.evidence is not None:
            shown = f"entries {self.evidence.first} to {self.evidence.stop - 1} of {self.evidence.size}"
            yield f"evidence {self.evidence.state}: the log of {self.evidence.log}, {shown}"
        for one in self.flips:
            who = f"{', '.join(one.roles)} ({one.assurance}, emergency {one.emergency})"
            yield f"{one.count:>8} {one.outcome}: {who} {one.action} for {one.purpose}"
            yield f"         reached {', '.join(one.before) or 'nothing'}"
            yield f"         now     {', '.join(one.now) or 'nothing'}"
            named = ", ".join(f"{name} {count}" for name, count in one.principals.items())
            more = f", and {one.more_principals} decisions of others" if one.more_principals else ""
            yield f"         entries {one.first} to {one.last}; {named}{more}"
        yield from self.summary()

    def summary(self) -> Iterator[str]:
        """Say how many decisions were decided anew, and how many could not be."""
        if self.untold:
            yield f"{self.untold:>8} of more kinds than are told"
        yield f"{self.decided} decisions decided anew: {self.same} end as they did, {self.flipped} otherwise"
        total = self.decided + sum(self.missing.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.missing.items())
        yield f"{total - self.decided} of {total} entries cannot be replayed{f': {reasons}' if reasons else ''}"


def _places(places: Iterable[Place]) -> list[str]:
    return sorted(f"{resource.value}/{relation.value}" for resource, relation in places)
