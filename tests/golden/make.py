"""Make the golden vault of this format: `python -m tests.golden.make`.

The vault is small, made with fakes, a clock that stands still and randomness that counts: whoever makes
it again on the same code gets the same bytes in its key files and the same rows. Its root key is for
tests alone and protects nothing. A release adds a golden vault; it never replaces one (law 10).
"""

import json
import shutil
import sys
import tempfile
import warnings
import zipfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.tiles import TILE_WIDTH
from policies.model import AccessTier, Principal, Purpose, Role
from tests.simulators.fakes import FrozenClock, fake_options
from vault.memos import MemOS
from vault.model import Chat, Document, Memory, SourceKind, SpeakerRole, Turn
from vault.opening import LocalRootWarning, Vault, VaultOptions
from vault.storage.schema import FORMAT

FOLDER: Final = Path(__file__).parent
NAME: Final = FORMAT.replace("/", "-")
ARCHIVE: Final = FOLDER / f"{NAME}.zip"
EXPECTED: Final = FOLDER / f"{NAME}.json"
MADE: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
_FILES: Final = ("vault.db", "keys.db", "root.key", "log.key")

CLINIC: Final = "clinic"
BANK: Final = "bank"
OWNER: Final = Principal("agent-1", CLINIC, frozenset({Role.OWNER_AGENT}))
MEMBER: Final = Principal("desk-1", CLINIC, frozenset({Role.MEMBER}))
CLINICIAN: Final = Principal("dr-a", CLINIC, frozenset({Role.CLINICIAN}))
AUDITOR: Final = Principal("auditor-a", CLINIC, frozenset({Role.AUDITOR}))
TELLER: Final = Principal("agent-1", BANK, frozenset({Role.OWNER_AGENT}))
BANK_AUDITOR: Final = Principal("auditor-b", BANK, frozenset({Role.AUDITOR}))


class CountingEntropy:
    """Bytes that never repeat and are the same in every run: for tests alone."""

    def __init__(self, name: str) -> None:
        self._name, self._numbers = name.encode(), count()

    def __call__(self, size: int) -> bytes:
        blocks = (
            sha256(self._name + next(self._numbers).to_bytes(8)).digest() for _ in range(-(-size // 32))
        )
        return b"".join(blocks)[:size]


def options(at: datetime = MADE, entropy: str = "golden") -> VaultOptions:
    """Return what the golden vault is made and opened with."""
    clock = FrozenClock(at, timedelta(seconds=1))
    return fake_options(clock=clock, entropy=CountingEntropy(entropy))


def fill(vault: Vault) -> None:
    """Write one of everything that the format can hold."""
    owner, member = (MemOS(vault, principal=who, purpose=Purpose.TREATMENT) for who in (OWNER, MEMBER))

    def settled(receipt: object) -> object:
        vault.wait(60)  # the worker's turn comes at the same place in every run
        return receipt

    chat = Chat(
        (
            Turn(
                "Maria Keller",
                "My surgery is on the left knee, call 212-555-0147.",
                SpeakerRole.USER,
                ref="D1:1",
            ),
            Turn("assistant", "Your surgery is on the left knee, Maria.", SpeakerRole.ASSISTANT, ref="D1:2"),
            Turn(
                "Maria Keller",
                "Actually, my surgery is on the right knee. My key is sk-abcd1234efgh.",
                ref="D1:3",
            ),
        ),
        started=datetime(2026, 5, 1, 9, tzinfo=UTC),
        title="Visit of Maria Keller",
        tags=("knee", "Keller"),
        metadata={"ward of Maria": "Anna Schmidt"},
    )
    first = owner.extract(chat, subject="Maria Keller")
    settled(first)
    settled(
        owner.extract(
            Document(
                "# Letter\n\nSeen tomorrow.\n\nSigned.",
                SourceKind.MARKDOWN,
                name="Keller.md",
                author="Anna Schmidt",
                written=datetime(2026, 5, 2, tzinfo=UTC),
            ),
            subject=["Maria Keller", "Anna Schmidt"],
        )
    )
    settled(
        owner.extract(
            Document('{"mail": "maria@example.com", "age": 44}', SourceKind.JSON), subject="Maria Keller"
        )
    )
    settled(owner.extract("my own note, שלום \U0001f9b5"))
    settled(
        member.extract("Visiting hours end at eight, ask John Doe.", access_tier=AccessTier.INSTITUTIONAL)
    )
    settled(
        owner.update(
            first.memory_ids[0], owner.get(first.memory_ids[0]).text + " Or write to maria@example.com."
        )
    )
    settled(owner.organize(subject="Maria Keller"))
    settled(MemOS(vault, principal=TELLER).extract("Maria Keller asked for a loan", subject="Maria Keller"))
    owner.retrieve("which knee?", subject="Maria Keller")
    # A full tile, in the one log that is not described entry by entry.
    filling = vault.parts.journal.event(EventType.VAULT_READ, SYSTEM_LOG, {})
    vault.parts.journal.write([filling] * TILE_WIDTH)
    for auditor in (AUDITOR, BANK_AUDITOR):
        assert MemOS(vault, principal=auditor, purpose=Purpose.AUDIT).verify().passed


def describe(vault: Vault) -> dict[str, object]:
    """Return what can be read out of the vault: later code has to read the same."""
    tenants: dict[str, object] = {}
    for tenant, reader, auditor in ((CLINIC, CLINICIAN, AUDITOR), (BANK, TELLER, BANK_AUDITOR)):
        view = MemOS(vault, principal=reader, purpose=Purpose.TREATMENT)
        masked = [hit.memory for hit in view.retrieve("knee mail letter hours note loan", k=200).hits]
        memories = {memory.id: [_told(memory), _told(view.reveal(memory.id))] for memory in masked}
        log = MemOS(vault, principal=auditor, purpose=Purpose.AUDIT).entries(start=0, limit=1000)
        entries = [[entry.index, entry.header.event, entry.header.outcome, entry.payload] for entry in log]
        tenants[tenant] = {"memories": dict(sorted(memories.items())), "entries": entries}
    return tenants


def _told(memory: Memory) -> dict[str, object]:
    source = memory.provenance
    return {
        "version": memory.version,
        "text": memory.text,
        "tier": memory.access_tier,
        "trust": memory.trust,
        "episode": [source.episode_id, source.position, source.source.start, source.source.end],
        "said": [source.speaker, source.role, source.at.isoformat() if source.at else None, source.ref],
        "title": source.title,
        "tags": list(memory.tags),
        "metadata": dict(memory.metadata),
        "statements": [[s.span.start, s.span.end, s.question] for s in memory.annotations.statements],
        "times": [[t.span.start, t.start.isoformat(), t.end.isoformat()] for t in memory.annotations.times],
        "recorded": memory.recorded.isoformat(),
        "written in": memory.written_in,
    }


def make(path: Path) -> dict[str, object]:
    """Make the vault at `path`, close it, and return what is in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        with Vault.create(path, tenant=CLINIC, options=options()) as vault:
            vault.add_tenant(BANK)
            fill(vault)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(path, Path(folder) / "vault"))
        with Vault.open(copy, options=options(MADE + timedelta(days=1), "reading")) as vault:
            return describe(vault)


def pack(path: Path, archive: Path) -> None:
    """Write the vault's files into an archive whose bytes depend on nothing else."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name in _FILES:
            member = zipfile.ZipInfo(name, MADE.timetuple()[:6])
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            packed.writestr(member, (path / name).read_bytes(), compresslevel=9)


def unpack(archive: Path, path: Path) -> Path:
    """Put a golden vault's files where they can be opened."""
    path.mkdir(mode=0o700)
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            file = path / Path(name).name
            file.write_bytes(packed.read(name))
            file.chmod(0o600)
    return path


def main() -> None:
    """Make the archive and the description anew."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vault"
        expected = make(path)
        pack(path, ARCHIVE)
    EXPECTED.write_text(
        json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )
    sys.stdout.write(f"{ARCHIVE.name}: {ARCHIVE.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
