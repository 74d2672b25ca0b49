"""Answers of the commands that review policies, as JSON values and as lines for people."""

from collections.abc import Iterator, Sequence
from typing import Self

from pydantic import BaseModel

from policies.review.cases import Case, Failure
from policies.review.lint import Finding, clean
from policies.review.mutation import Mutation
from policies.rule import Question, Rule


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
