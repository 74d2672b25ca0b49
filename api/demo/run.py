"""The demonstration's acts, each of which returns what it saw. Nothing here prints, draws or judges twice.

1. A vault is made; the conversation is extracted session by session; each gets its receipt.
2. What was planted is compared with what is stored, masked: found, missed, masked without need.
3. Questions are asked, and answered with provenance.
4. The same question is asked by five principals.
5. A receipt is proved; the log is exported, verified offline, altered, and caught.
6. Every byte on disk is searched for what was planted.
"""

import io
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.demo.coverage import covered, readable_part
from api.demo.hunt import Hunt, grep_command, hunt, searchable
from api.demo.story import DemoQuestion, Planted, Story
from audit.errors import AuditError
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
from policies.errors import DeniedError
from policies.model import Principal, Purpose, Role
from vault.auditing import LogReport, ReceiptProof, verify_receipt
from vault.errors import NotFoundError
from vault.memos import MemOS
from vault.model import Answer, Memory, Receipt, TrustState
from vault.opening import Vault
from vault.privacy.tokens import TOKEN

TENANT: Final = "harbour-street"
OWNER: Final = Principal("wren-agent", TENANT, frozenset({Role.OWNER_AGENT}))
CLINICIAN: Final = Principal("dr-okafor", TENANT, frozenset({Role.CLINICIAN}))
OTHER_OWNER: Final = Principal("billing-agent", TENANT, frozenset({Role.OWNER_AGENT}))
AUDITOR: Final = Principal("auditor-1", TENANT, frozenset({Role.AUDITOR}))
ADMINISTRATOR: Final = Principal("operator-1", TENANT, frozenset({Role.ADMINISTRATOR}))
_K: Final = 5
_SAMPLES: Final = 10

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, of how much."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """Planted values of one kind."""

    kind: str
    planted: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A planted value of which something stays readable in the masked text."""

    planted: Planted
    readable: str
    masked: str


@dataclass(frozen=True, slots=True)
class Screening:
    """What the gate did to the conversation."""

    kinds: tuple[KindRow, ...]
    missed: tuple[Missed, ...]
    samples: tuple[tuple[str, str, str], ...]
    """Ref, raw, masked."""
    tokens: Mapping[str, int]
    """Tokens in the stored text, by kind."""
    needless: int
    """Tokens that cover nothing that was planted; None were counted where nothing was planted."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question and what came back."""

    question: DemoQuestion
    answer: Answer
    found_at: int | None
    """Rank of the first turn of the evidence, from 1."""
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The same question by one principal."""

    principal: Principal
    purpose: Purpose
    reveal: bool
    outcome: str
    text: str
    found: int


@dataclass(frozen=True, slots=True)
class Proofs:
    """What can be shown to somebody who does not trust us."""

    receipt: Receipt
    proof: ReceiptProof
    inside: LogReport
    bundle: Path
    verifier_key: str
    entries: int
    offline_passed: bool
    altered_byte: int
    altered_finding: str
    """What the verifier said of the bundle after one byte was changed."""
    events: Mapping[str, int]
    denied: int


@dataclass(frozen=True, slots=True)
class Disk:
    """What a thief of the disk finds."""

    hunt: Hunt
    control: Hunt
    """The same search over the conversation's own file."""
    command: str
    too_short: int
    """Values left out, since they would stand in any few megabytes by chance."""


@dataclass(frozen=True, slots=True)
class Played:
    """The whole demonstration."""

    story: Story
    folder: Path
    turns: int
    bundle_digest: str
    extract_seconds: float
    vector_seconds: float
    screening: Screening
    answers: tuple[Answered, ...]
    asked_about: str
    """The one question that all principals asked."""
    asked: tuple[Asked, ...]
    links: int
    disputed: tuple[Memory, ...]
    candidates: int
    proofs: Proofs
    disk: Disk


def play(story: Story, vault: Vault, folder: Path, progress: Progress) -> Played:
    """Carry a story through an open, empty vault whose tenant is `TENANT`.

    Args:
        story: What is played.
        vault: Where.
        folder: The vault's directory; the log's bundle is written beside it.
        progress: Told of each step.
    """
    owner = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    started = time.monotonic()
    receipts = []
    for place, chat in enumerate(story.chats, 1):
        receipts.append(owner.extract(chat, subject=story.subject))
        progress("screened, sealed, committed: sessions", place, len(story.chats))
    extracted = time.monotonic()
    owner.wait()
    embedded = time.monotonic()
    progress("organized", 0, 1)
    organized = owner.organize(subject=story.subject)
    progress("organized", 1, 1)
    memories = [owner.get(memory_id) for receipt in receipts for memory_id in receipt.memory_ids]
    screening = _screening(story, memories)
    answers = tuple(_ask(owner, story, question) for question in story.questions)
    telling = _telling(answers)
    asked = () if telling is None else _asked_by_all(vault, telling)
    proofs = _proofs(vault, owner, receipts[0], folder.with_name("log-evidence.tar"))
    return Played(
        story=story,
        folder=folder,
        turns=len(memories),
        bundle_digest=receipts[0].bundle_digest,
        extract_seconds=extracted - started,
        vector_seconds=embedded - started,
        screening=screening,
        answers=answers,
        asked_about="" if telling is None else telling.text,
        asked=asked,
        links=len(organized.links),
        disputed=tuple(memory for memory in memories if memory.trust is TrustState.DISPUTED),
        candidates=sum(memory.trust is TrustState.CANDIDATE for memory in memories),
        proofs=proofs,
        disk=_search_disk(story, folder),
    )


def _screening(story: Story, memories: Sequence[Memory]) -> Screening:
    raw = [turn for chat in story.chats for turn in chat.turns]
    by_ref: dict[str, list[Planted]] = {}
    for planted in story.planted:
        by_ref.setdefault(planted.ref, []).append(planted)
    missed: list[Missed] = []
    needless = 0
    samples: list[tuple[str, str, str]] = []
    for turn, memory in zip(raw, memories, strict=True):
        hidden = covered(turn.text, memory.text)
        here = by_ref.get(turn.ref or "", [])
        for planted in here:
            readable = readable_part(turn.text, planted.start, planted.end, hidden)
            if readable:
                missed.append(Missed(planted, readable, memory.text))
        needless += sum(
            not any(one.start < span.end and span.start < one.end for one in here) for span in hidden
        )
        if len(hidden) > 1:
            samples.append((turn.ref or "", turn.text, memory.text))
    planted_kinds = Counter(one.kind for one in story.planted)
    missed_kinds = Counter(one.planted.kind for one in missed)
    return Screening(
        kinds=tuple(
            KindRow(kind, count, count - missed_kinds[kind]) for kind, count in planted_kinds.most_common()
        ),
        missed=tuple(missed),
        samples=tuple(sorted(samples, key=lambda sample: len(sample[1]))[:_SAMPLES]),
        tokens=Counter(_kind_of(token) for memory in memories for token in TOKEN.findall(memory.text)),
        needless=needless if story.planted else 0,
    )


def _kind_of(token: str) -> str:
    return token.strip("[]").partition("-")[0]


def _ask(owner: MemOS, story: Story, question: DemoQuestion) -> Answered:
    started = time.monotonic()
    answer = owner.retrieve(question.text, k=_K, subject=story.subject)
    seconds = time.monotonic() - started
    found_at = next(
        (rank for rank, hit in enumerate(answer.hits, 1) if hit.memory.provenance.ref in question.evidence),
        None,
    )
    return Answered(question, answer, found_at, seconds * 1000)


def _telling(answers: Sequence[Answered]) -> DemoQuestion | None:
    """Return the first question whose answer holds a token, so that revealing shows something; else the first."""
    for answered in answers:
        if answered.found_at and TOKEN.search(answered.answer.hits[answered.found_at - 1].memory.text):
            return answered.question
    return answers[0].question if answers else None


def _asked_by_all(vault: Vault, question: DemoQuestion) -> tuple[Asked, ...]:
    """Ask one question as each principal; what is denied or invisible is the point."""
    cases = (
        (OWNER, Purpose.TREATMENT, False),
        (CLINICIAN, Purpose.TREATMENT, True),
        (CLINICIAN, Purpose.RESEARCH, True),
        (OTHER_OWNER, Purpose.TREATMENT, False),
        (AUDITOR, Purpose.AUDIT, False),
        (ADMINISTRATOR, Purpose.OPERATIONS, False),
    )
    return tuple(_asked_by(vault, question, case) for case in cases)


def _asked_by(vault: Vault, question: DemoQuestion, case: tuple[Principal, Purpose, bool]) -> Asked:
    principal, purpose, reveal = case
    memory = MemOS(vault, principal=principal, purpose=purpose)
    try:
        answer = memory.retrieve(question.text, k=_K, reveal=reveal)
    except DeniedError as error:
        return Asked(principal, purpose, reveal, f"denied: {error}", "", 0)
    if not answer.hits:
        return Asked(principal, purpose, reveal, "nothing within reach", "", 0)
    best = next(
        (hit for hit in answer.hits if hit.memory.provenance.ref in question.evidence), answer.hits[0]
    ).memory
    outcome = "answered, revealed" if best.revealed else "answered, masked"
    return Asked(principal, purpose, reveal, outcome, best.text, len(answer.hits))


def _proofs(vault: Vault, owner: MemOS, receipt: Receipt, bundle: Path) -> Proofs:
    proof = owner.prove(receipt)
    verify_receipt(proof, proof.verifier_key)
    auditor = MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT)
    _expect_invisible(vault, receipt.memory_ids[0])
    inside = auditor.verify()
    with bundle.open("wb") as file:
        entries = auditor.export(file).entries
    key = vault.parts.verifier_key
    content = bundle.read_bytes()
    place = content.index(b'{"action":"') + len(b'{"action":"')
    altered = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    log = auditor.entries(limit=1000)
    return Proofs(
        receipt=receipt,
        proof=proof,
        inside=inside,
        bundle=bundle,
        verifier_key=str(key),
        entries=entries,
        offline_passed=not _findings(content, key),
        altered_byte=place,
        altered_finding=_findings(altered, key),
        events=Counter(entry.header.event.value for entry in log),
        denied=sum(entry.header.decision.value == "denied" for entry in log),
    )


def _expect_invisible(vault: Vault, memory_id: str) -> None:
    """Try another owner's memory by its id; the try is an entry, the memory is not there."""
    try:
        MemOS(vault, principal=OTHER_OWNER, purpose=Purpose.TREATMENT).get(memory_id)
    except NotFoundError:
        return
    raise AssertionError("another owner read a private memory")


def _findings(bundle: bytes, key: VerifierKey) -> str:
    """Return what the offline verifier finds in a bundle; nothing if it passes."""
    try:
        report = verify_bundle(io.BytesIO(bundle), Trust((key,))).report
    except AuditError as error:
        return str(error)
    return str(report.findings[0]) if report.findings else ""


def _search_disk(story: Story, folder: Path) -> Disk:
    """Search the vault for what was planted, and for whole turns, while it is still open."""
    values = {one.value for one in story.planted} | {
        turn.text
        for chat in story.chats
        for turn in chat.turns
        if len(turn.text) > 40  # noqa: PLR2004  # a sentence
    }
    values_file = folder.with_name("planted-values.txt")
    values_file.write_text("".join(f"{value}\n" for value in searchable(values)), encoding="utf-8")
    control = folder.with_name("control")
    control.mkdir(exist_ok=True)
    (control / "conversation.txt").write_text(
        "\n".join(turn.text for chat in story.chats for turn in chat.turns), encoding="utf-8"
    )
    return Disk(
        hunt=hunt(folder, values),
        control=hunt(control, values),
        command=grep_command(folder, values_file),
        too_short=len(values) - len(searchable(values)),
    )
