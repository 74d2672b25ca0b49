"""A vault's ordinary life: updates and their tokens, versions, joint subjects, tiers, organizing, threads, reopening."""

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from audit.canonical import canonical
from audit.event import MAX_PAYLOAD_SIZE
from audit.merkle import leaf_hash
from policies.bundle import Bundle
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose, SystemResource
from policies.privacy import EntityType, parse_privacy_rules
from tests.simulators.clinic import (
    ADVISER,
    AUDITOR,
    BANK,
    CLINIC,
    CLINICIAN,
    MEMBER,
    OTHER_OWNER,
    OWNER,
    SERVICE,
    Clinic,
    person,
)
from tests.simulators.fakes import KeywordDetector, fake_options
from vault import MemOS
from vault.errors import ConflictError, NotFoundError, ScreeningRefusedError, VaultInUseError
from vault.grant import EVERY_MEMORY, authorise
from vault.memos import LOCAL_PRINCIPAL
from vault.model import Chat, Document, EdgeKind, SourceKind, SpeakerRole, TrustState, Turn
from vault.opening import LocalRootWarning, Vault, default_path
from vault.organizer import PER_ENTRY, Organizer, _payloads
from vault.pipeline.organize import Link, Reason, TrustChange
from vault.privacy.gate import PrivacyGate

MAIL = "maria@example.com"


def said(*turns: tuple[str, SpeakerRole]) -> Chat:
    """Return a chat of these texts."""
    return Chat(
        tuple(Turn(role.value, text, role) for text, role in turns), started=datetime(2026, 5, 1, tzinfo=UTC)
    )


# Updates


def test_an_update_keeps_the_id_and_the_older_versions_and_their_entries(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    first = view.extract("version one", subject="maria")
    memory_id = first.memory_ids[0]
    receipts = [view.update(memory_id, f"version {word}") for word in ("two", "three")]
    assert {receipt.memory_ids for receipt in receipts} == {(memory_id,)}
    assert {receipt.episode_id for receipt in receipts} == {first.episode_id}
    grant = authorise(clinic.vault.parts.policy, OWNER, Action.READ, Purpose.TREATMENT, over=EVERY_MEMORY)
    with clinic.vault.parts.store.read(grant) as unit:
        versions = unit.versions(memory_id)
    assert [row.version for row in versions] == [1, 2, 3]
    assert [row.leaf_index for row in versions] == [first.leaf_index, *(r.leaf_index for r in receipts)]
    texts = [clinic.vault.parts.sealers.open_memory(CLINIC, row).text for row in versions]
    assert texts == ["version one", "version two", "version three"]
    now = view.get(memory_id)
    assert (now.version, now.written_in) == (3, receipts[-1].leaf_index)
    assert clinic.audit().verify().passed


def test_a_token_that_still_stands_in_an_updated_text_keeps_its_original(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract(f"Maria Keller writes from {MAIL}", subject="maria").memory_ids[0]
    masked = view.get(memory_id).text
    view.update(memory_id, masked.replace("writes", "wrote") + " and from anna@example.com")
    assert view.reveal(memory_id).text == f"Maria Keller wrote from {MAIL} and from anna@example.com"
    kept = masked.rsplit(" ", 1)[1]
    view.update(memory_id, f"only {kept} {kept}")
    assert view.reveal(memory_id).text == f"only {MAIL} {MAIL}"
    view.update(memory_id, "nothing left")
    view.update(memory_id, f"back to {kept}")
    assert view.reveal(memory_id).text == f"back to {kept}", "a token that had gone is only text"


def test_an_update_keeps_the_originals_in_a_speaker_and_in_the_callers_own_id(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    turn = Turn("Maria Keller", "the left knee", ref=f"ticket of {MAIL}")
    memory_id = view.extract([turn], subject="maria").memory_ids[0]
    before = view.get(memory_id).provenance
    assert before.ref is not None
    assert MAIL not in before.ref
    for text in ("the right knee", "both knees"):
        view.update(memory_id, text)
        masked, revealed = view.get(memory_id).provenance, view.reveal(memory_id)
        assert (masked.speaker, masked.ref) == (before.speaker, before.ref)
        assert revealed.text == text
        assert (revealed.provenance.speaker, revealed.provenance.ref) == ("Maria Keller", turn.ref)


def test_an_update_is_found_by_its_new_words_and_not_by_the_old(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("porcupine", subject="maria").memory_ids[0]
    view.extract("unrelated filler text")
    view.update(memory_id, "armadillo")
    for _ in range(2):
        assert view.retrieve("armadillo").hits[0].memory.id == memory_id
        old = view.retrieve("porcupine").hits
        assert all(hit.why.get("lexical", 0) <= 0 for hit in old if hit.memory.id == memory_id)
        assert clinic.vault.wait(20)
        clinic.reopen()
        view = clinic.mem(OWNER)


def test_an_update_of_a_version_that_is_not_the_present_one_is_refused_and_logged(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("one").memory_ids[0]
    view.update(memory_id, "two", expected_version=1)
    for stale in (1, 3, 0, -1):
        with pytest.raises(ConflictError):
            view.update(memory_id, "three", expected_version=stale)
        assert (clinic.last().event, clinic.last().outcome) == ("memory.update", "refused")
    assert view.get(memory_id).text == "two"
    assert clinic.count("memory") == 2


def test_an_update_does_not_take_back_what_organizing_found_meanwhile(template: Path, tmp_path: Path) -> None:
    """Threat: a memory is disputed while its update is being sealed, and the update stores the older trust."""
    ready: list[Clinic] = []

    def probe(step: str) -> None:
        if step == "sealed" and ready:
            clinic = ready.pop()
            clinic.sql("UPDATE memory SET trust = 'revoked' WHERE is_current = 1")

    clinic = Clinic(template, tmp_path / "vault", fake_options(probe=probe))
    view = clinic.mem(OWNER)
    memory_id = view.extract("one").memory_ids[0]
    ready.append(clinic)
    with pytest.raises(ConflictError):
        view.update(memory_id, "two")
    assert clinic.sql("SELECT version, trust, is_current FROM memory") == [(1, "revoked", 1)]
    clinic.close()


# Refused and redacted


def test_what_the_rules_redact_is_gone_for_good(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("the key is sk-abcdefgh12345678 keep it", subject="maria").memory_ids[0]
    assert view.get(memory_id).text == "the key is [SECRET] keep it"
    assert view.reveal(memory_id).text == "the key is [SECRET] keep it"
    assert view.retrieve("sk-abcdefgh12345678").masked_query == "[SECRET]"


def test_what_the_rules_refuse_is_not_written_and_the_refusal_is_an_entry(clinic: Clinic) -> None:
    bundle = Bundle.read()
    strict = bundle.text("privacy.yaml").replace(
        "SSN:            {action: tokenize", "SSN:            {action: refuse"
    )
    assert strict != bundle.text("privacy.yaml")

    gate = PrivacyGate(KeywordDetector(), parse_privacy_rules(strict))
    view = clinic.mem(OWNER)
    memory_id = view.extract("fine").memory_ids[0]
    assert clinic.vault.wait(20)
    for path in (view._write, view._update):
        path._parts = replace(path._parts, gate=gate)
    state = clinic.state()
    attempts: tuple[Callable[[], object], ...] = (
        lambda: view.extract("ssn 123-45-6789"),
        lambda: view.extract(Document("fine", title="123-45-6789")),
        lambda: view.update(memory_id, "ssn 123-45-6789"),
    )
    for attempt in attempts:
        with pytest.raises(ScreeningRefusedError) as caught:
            attempt()
        assert str(EntityType.SSN) in str(caught.value)
        assert "6789" not in str(caught.value)
        assert clinic.last().outcome == "refused"
    assert clinic.state() == state


# Subjects and tiers


def test_a_memory_about_several_is_found_through_each_and_sealed_for_all(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("Maria and Anna share a room", subject=["maria", "anna"]).memory_ids[0]
    alone = view.extract("Anna has her own doctor", subject="anna").memory_ids[0]
    assert {hit.memory.id for hit in view.retrieve("room doctor", subject="maria").hits} == {memory_id}
    assert {hit.memory.id for hit in view.retrieve("room doctor", subject="anna").hits} == {memory_id, alone}
    assert {hit.memory.id for hit in view.retrieve("room", subject=["maria", "anna"]).hits} == {
        memory_id,
        alone,
    }
    assert view.reveal(memory_id).text == "Maria and Anna share a room"
    assert clinic.count("memory_subject") == 3
    assert clinic.count("subject") == 2
    clinic.close()
    clinic.sql("DELETE FROM keys WHERE subject_id = (SELECT max(subject_id) FROM keys)", file="keys.db")
    clinic.reopen()
    assert memory_id not in {hit.memory.id for hit in clinic.mem(OWNER).retrieve("room doctor").hits}


def test_one_name_in_any_spelling_is_one_subject_and_nobody_elses(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    for name in (
        "Maria Keller",
        "maria keller",
        "  MARIA\u00a0KELLER ",
        "Ma\u200bria Keller",
        "\uff2daria Keller",
    ):
        view.extract("a note", subject=name)
    assert clinic.count("subject") == 1
    view.extract("a note", subject=["Maria Keller", "maria keller"])
    assert clinic.count("subject") == 1
    assert len({str(row[0]) for row in clinic.sql("SELECT subjects FROM memory")}) == 1
    clinic.mem(person("agent-1", *OWNER.roles, tenant=BANK)).extract("a note", subject="Maria Keller")
    assert len({str(row[0]) for row in clinic.sql("SELECT subject_id FROM subject")}) == 2


def test_a_query_does_not_tell_whether_somebody_elses_subject_exists(clinic: Clinic) -> None:
    """Threat: the token in a masked query tells that a subject has a key, so that somebody wrote about it."""
    clinic.mem(OWNER).extract(f"write to {MAIL}", subject="maria")
    other = clinic.mem(OTHER_OWNER)
    seen = {name: other.retrieve(MAIL, subject=name).masked_query for name in ("maria", "nobody")}
    without = other.retrieve(MAIL).masked_query
    assert (seen["maria"] == without) is (seen["nobody"] == without)
    token = clinic.mem(OWNER).retrieve(MAIL, subject="maria").masked_query
    assert token in clinic.mem(OWNER).get(clinic.mem(OWNER).retrieve(MAIL).hits[0].memory.id).text
    assert seen["maria"] != token, "the owner's token is for those who can read the owner's memories"


@pytest.mark.parametrize("tier", [AccessTier.INSTITUTIONAL, AccessTier.PUBLIC])
def test_shared_tiers_are_read_across_owners_masked(clinic: Clinic, tier: AccessTier) -> None:
    writer = clinic.mem(SERVICE, Purpose.OPERATIONS)
    memory_id = writer.extract(f"shared {MAIL}", subject="maria", access_tier=tier).memory_ids[0]
    for reader in (OWNER, OTHER_OWNER, MEMBER):
        found = clinic.mem(reader).retrieve("shared").hits
        assert [hit.memory.id for hit in found] == [memory_id]
        assert found[0].memory.access_tier is tier
        assert MAIL not in found[0].memory.text
    # Originals do not go along into what is public.
    original = "[EMAIL]" if tier is AccessTier.PUBLIC else MAIL
    assert clinic.mem(ADVISER, Purpose.SERVICE).reveal(memory_id).text == f"shared {original}"


def test_own_notes_are_nobody_elses(clinic: Clinic) -> None:
    note = clinic.mem(OWNER).extract("my own note").memory_ids[0]
    assert clinic.mem(OWNER).organize().examined == 1
    assert clinic.mem(OTHER_OWNER).organize().examined == 0
    assert clinic.mem(OTHER_OWNER).organize(subject=f"self:{OWNER.id}").examined == 0
    assert clinic.mem(OTHER_OWNER).retrieve("note", subject=f"self:{OWNER.id}").hits == ()
    assert clinic.mem(OWNER).get(note).text == "my own note"


# Trust and organizing


def test_what_only_the_assistant_said_is_a_candidate_and_a_document_is_verified(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    chat = view.extract(
        said(("my knee hurts", SpeakerRole.USER), ("it is your left knee", SpeakerRole.ASSISTANT)),
        subject="maria",
    )
    trust = [view.get(memory_id).trust for memory_id in chat.memory_ids]
    assert trust == [TrustState.VERIFIED, TrustState.CANDIDATE]
    document = view.extract(Document("a letter", kind=SourceKind.MARKDOWN))
    assert view.get(document.memory_ids[0]).trust is TrustState.VERIFIED


def test_organizing_links_a_correction_once_and_says_so_in_the_log(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    view.extract(
        said(
            ("My surgery is on the left knee.", SpeakerRole.USER),
            ("Your surgery is on the left knee.", SpeakerRole.ASSISTANT),
            ("Actually, my surgery is on the right knee.", SpeakerRole.USER),
        ),
        subject="maria",
    )
    done = view.organize(subject="maria")
    assert done.examined == 3
    assert done.links
    assert clinic.last().event == "memory.organize"
    assert clinic.last().payload["edges"] == len(done.links)
    assert clinic.count("edge") == len(done.links)
    kinds = {EdgeKind(str(row[0])) for row in clinic.sql("SELECT kind FROM edge")}
    assert kinds <= set(EdgeKind)
    for change in done.trust:
        assert view.get(change.memory).trust is change.trust
    again = view.organize(subject="maria")
    assert (again.links, again.trust) == ((), ())
    assert clinic.count("edge") == len(done.links)
    assert clinic.audit().verify().passed
    clinic.reopen()
    assert clinic.audit().verify().passed


def test_more_links_than_one_entry_holds_stand_in_parts_behind_it_and_are_verified(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    for part in ("knee", "shoulder", "elbow", "ankle", "wrist"):
        view.extract(
            said(
                (f"My surgery is on the left {part}.", SpeakerRole.USER),
                (f"Your surgery is on the left {part}.", SpeakerRole.ASSISTANT),
                (f"Actually, my surgery is on the right {part}.", SpeakerRole.USER),
            ),
            subject="maria",
        )
    before = len(clinic.log())
    done = Organizer(clinic.vault.parts, per_entry=2).organize(OWNER, "maria", Purpose.TREATMENT)
    wrote = clinic.log()[before:]
    assert len(done.links) > 4, "more than two entries hold"
    assert {entry.event for entry in wrote} == {"memory.organize"}
    assert len(wrote) == -(-max(len(done.links), len(done.trust)) // 2)
    assert (wrote[0].payload["edges"], wrote[0].payload["parts"]) == (len(done.links), len(wrote) - 1)
    assert [entry.payload.get("part") for entry in wrote] == [None, *range(1, len(wrote))]
    named = [link for entry in wrote for link in cast("list[object]", entry.payload["links"])]
    assert named == [[link.kind.value, link.source, link.target] for link in done.links]
    assert done.leaf_index == wrote[0].index
    assert {row[0] for row in clinic.sql("SELECT leaf_index FROM edge")} == {wrote[0].index}
    assert clinic.audit().verify().passed
    again = view.organize(subject="maria")
    assert (again.links, again.trust) == ((), ())
    clinic.sql("DELETE FROM edge WHERE rowid = (SELECT max(rowid) FROM edge)")
    assert not clinic.audit().verify().passed


def test_the_links_that_one_entry_names_fit_into_it() -> None:
    memory = f"mem_{'z' * 26}"
    link = Link(max(EdgeKind, key=len), memory, memory, max(Reason, key=len))
    change = TrustChange(memory, max(TrustState, key=len), link)
    payloads = list(_payloads(10**6, [link] * (PER_ENTRY + 1), [change] * PER_ENTRY, PER_ENTRY))
    assert len(payloads) == 2
    assert all(len(canonical(payload)) <= MAX_PAYLOAD_SIZE for payload in payloads)


def test_a_revoked_memory_is_found_no_more(clinic: Clinic) -> None:
    memory_id = clinic.mem(OWNER).extract("withdrawn words").memory_ids[0]
    clinic.close()
    clinic.sql("UPDATE memory SET trust = 'revoked'")
    clinic.reopen()
    assert clinic.mem(OWNER).retrieve("withdrawn words").hits == ()
    assert clinic.mem(OWNER).get(memory_id).trust is TrustState.REVOKED


# Receipts and the log


def test_a_receipt_names_the_entry_by_index_and_hash(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    ((header,),) = clinic.sql(
        "SELECT header FROM audit_leaf WHERE tenant_id = ? AND leaf_index = ?", CLINIC, receipt.leaf_index
    )
    assert leaf_hash(str(header).encode()) == receipt.leaf_hash
    assert receipt.log_origin.endswith(f"/{CLINIC}")
    assert receipt.bundle_digest == clinic.vault.parts.policy.digest
    assert clinic.mem(OWNER).get(receipt.memory_ids[0]).written_in == receipt.leaf_index


def test_a_query_stands_in_the_log_as_a_keyed_digest_that_repeats_for_the_same_question(
    clinic: Clinic,
) -> None:
    view = clinic.mem(OWNER)
    view.extract("the knee")
    digests = []
    for query in ("knee", "knee", "Knee"):
        view.retrieve(query)
        digests.append(clinic.last().payload["query"])
    assert digests[0] == digests[1] != digests[2]
    clinic.mem(person("agent-1", *OWNER.roles, tenant=BANK)).retrieve("knee")
    assert clinic.last(BANK).payload["query"] not in digests


def test_asking_what_one_may_do_is_no_access_and_no_entry(clinic: Clinic) -> None:
    size = len(clinic.log())
    view = clinic.mem(OWNER)
    assert view.may(Action.WRITE, AccessTier.PRIVATE)
    assert not view.may(Action.WRITE, AccessTier.PUBLIC)
    assert not view.may(Action.AUDIT, SystemResource.AUDIT_LOG)
    assert len(clinic.log()) == size


# Threads


def test_of_many_updates_of_one_version_exactly_one_wins(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("version 1").memory_ids[0]
    for version in range(1, 9):
        barrier = threading.Barrier(6)

        def update(nth: int, version: int = version, barrier: threading.Barrier = barrier) -> str | None:
            barrier.wait(20)
            text = f"version {version + 1} by {nth}"
            try:
                clinic.mem(OWNER).update(memory_id, text, expected_version=version)
            except ConflictError:
                return None
            return text

        with ThreadPoolExecutor(6) as pool:
            won = [text for text in pool.map(update, range(6)) if text]
        assert len(won) == 1
        assert view.get(memory_id).text == won[0]
    assert clinic.count("memory", "is_current = 1") == 1
    assert clinic.sql("SELECT version FROM memory ORDER BY version") == [(n,) for n in range(1, 10)]
    assert clinic.audit().verify().passed
    assert clinic.vault.wait(20)
    assert clinic.sql("SELECT version FROM embedding") == [(9,)]


def test_readers_and_writers_at_once_see_whole_memories_and_verify_meanwhile(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("state 0 0", subject="maria").memory_ids[0]
    stop = threading.Event()
    reports = []

    def write(nth: int) -> int:
        count = 0
        while not stop.is_set():
            clinic.mem(OWNER).extract(f"note {nth} {count} {MAIL}", subject=f"subject {nth}")
            count += 1
        return count

    def change() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            clinic.mem(OWNER).update(memory_id, f"state {count} {count}")
        return count

    def read() -> int:
        count = 0
        while not stop.is_set():
            words = clinic.mem(OWNER).get(memory_id).text.split()
            assert words[1] == words[2]
            for hit in clinic.mem(OWNER).retrieve("note state", k=20).hits:
                assert hit.memory.text.startswith(("note", "state"))
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        futures = [
            *(pool.submit(write, nth) for nth in range(3)),
            pool.submit(change),
            pool.submit(read),
            pool.submit(read),
        ]
        for _ in range(6):
            reports.append(clinic.audit().verify())
            assert clinic.mem(OWNER).organize(subject="subject 0").examined >= 0
        stop.set()
        counts = [future.result(30) for future in futures]
    assert all(counts), counts
    assert [report for report in reports if not report.passed] == [], "a write meanwhile is no finding"
    clinic.reopen()
    final = clinic.audit().verify()
    assert final.passed
    assert final.rows_checked == sum(counts[:3]) + counts[3] + 1
    assert clinic.mem(OWNER).get(memory_id).version == counts[3] + 1
    indexes = [entry.index for entry in clinic.log()]
    assert indexes == list(range(len(indexes)))


# Opening and closing


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home in which nobody has been yet."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_default_vault_is_made_on_first_use_in_the_users_data_directory_and_found_again(
    home: Path,
) -> None:
    with pytest.warns(LocalRootWarning):
        memory = MemOS()
    with memory:
        assert memory.principal == LOCAL_PRINCIPAL
        memory_id = memory.extract(f"my knee hurts, {MAIL}").memory_ids[0]
        with pytest.raises(VaultInUseError):
            MemOS()
    path = default_path()
    assert path.is_relative_to(home)
    assert (path.stat().st_mode & 0o777, (path / "root.key").stat().st_mode & 0o777) == (0o700, 0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with MemOS() as memory:
            assert memory.reveal(memory_id).text == f"my knee hurts, {MAIL}"
            assert memory.retrieve("knee").hits[0].memory.id == memory_id
    with pytest.raises(NotFoundError):
        MemOS(principal=Principal("x", "elsewhere", LOCAL_PRINCIPAL.roles))
    with MemOS() as memory:
        assert memory.get(memory_id).version == 1, "the refused one let go of the vault"


def test_no_file_of_a_vault_is_open_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with pytest.warns(LocalRootWarning):
            vault = Vault.create(tmp_path / "v", tenant=CLINIC, options=fake_options())
        with vault:
            MemOS(vault, principal=OWNER).extract("text")
            modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "v").iterdir()}
    finally:
        os.umask(before)
    assert (tmp_path / "v").stat().st_mode & 0o777 == 0o700
    assert {modes[name] for name in ("root.key", "log.key", "lock")} == {0o600}


def test_the_name_comes_from_the_package_without_loading_models() -> None:
    script = (
        "import sys; from vault import MemOS;"
        "assert not {'presidio_analyzer', 'onnxruntime', 'spacy', 'pycrfsuite'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2], timeout=120)


def test_a_facade_over_an_open_vault_leaves_it_open_and_its_own_it_closes(clinic: Clinic) -> None:
    with clinic.mem(OWNER) as view:
        view.extract("one")
    assert clinic.mem(OWNER).retrieve("one").hits
    clinic.close()
    with MemOS.open(clinic.path, principal=OWNER) as memory:
        assert memory.retrieve("one").hits
        with pytest.raises(VaultInUseError):
            MemOS.open(clinic.path, principal=OWNER)
    with pytest.raises(RuntimeError, match="from the caller"), MemOS.open(clinic.path, principal=OWNER):
        raise RuntimeError("from the caller")
    MemOS.open(str(clinic.path), principal=OWNER).close()
    clinic.reopen()


def test_opening_again_finds_everything_as_it_was(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    ids = [
        view.extract(f"fact number {nth} about {MAIL}", subject="maria").memory_ids[0] for nth in range(12)
    ]
    assert clinic.vault.wait(20)
    before = [(hit.memory, round(hit.score, 5)) for hit in view.retrieve(f"fact 7 {MAIL}", k=12).hits]
    clinic.reopen()
    after = [
        (hit.memory, round(hit.score, 5)) for hit in clinic.mem(OWNER).retrieve(f"fact 7 {MAIL}", k=12).hits
    ]
    assert {memory.id for memory, _ in before} == set(ids)
    assert [memory.id for memory, _ in after] == [memory.id for memory, _ in before]
    assert [memory for memory, _ in after] == [memory for memory, _ in before]


def test_a_written_memory_is_found_at_once_before_any_vector_exists(clinic: Clinic) -> None:
    held = threading.Event()
    embed = clinic.vault.parts.embedding._embedder.embed

    def slow(texts: list[str]) -> object:
        held.wait(20)
        return embed(texts)

    clinic.vault.parts.embedding._embedder.embed = slow  # type: ignore[method-assign, assignment]
    memory_id = clinic.mem(OWNER).extract(f"quokka {MAIL}", subject="maria").memory_ids[0]
    grant = authorise(clinic.vault.parts.policy, OWNER, Action.SEARCH, Purpose.TREATMENT, over=EVERY_MEMORY)
    assert grant.covers(AccessTier.PRIVATE, OWNER.id)
    assert clinic.count("embedding") == 0
    held.set()
    assert clinic.mem(OWNER).retrieve("quokka").hits[0].memory.id == memory_id
    assert clinic.mem(CLINICIAN).retrieve(MAIL).hits[0].memory.id == memory_id
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 1


def test_two_tenants_share_a_process_and_nothing_else(clinic: Clinic) -> None:
    bank = person("agent-1", *OWNER.roles, tenant=BANK)
    ids = {
        tenant: clinic.mem(principal).extract(f"Maria Keller {MAIL}", subject="maria").memory_ids[0]
        for tenant, principal in ((CLINIC, OWNER), (BANK, bank))
    }
    texts = {tenant: clinic.mem(who).get(ids[tenant]).text for tenant, who in ((CLINIC, OWNER), (BANK, bank))}
    assert texts[CLINIC] != texts[BANK], "the same person has other tokens at another tenant"
    assert [hit.memory.id for hit in clinic.mem(bank).retrieve(MAIL).hits] == [ids[BANK]]
    assert clinic.audit().verify().passed
    assert clinic.audit(BANK).verify().passed
    with pytest.raises(DeniedError):
        clinic.mem(bank).entries()
    assert {entry.header.tenant for entry in clinic.mem(AUDITOR, Purpose.AUDIT).entries()} == {CLINIC}
