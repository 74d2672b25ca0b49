"""Every command with every role: the table says who gets through, and no command may be missing.

Whoever is denied learns nothing by it: the answer about something that exists is, letter by letter, the answer about
something that does not, and stands in the log before it is given.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli.main import app
from policies.bundle import SHIPPED
from policies.model import Role
from tests.api.conftest import Memvault
from vault.engineered.reading import READY

NO_MEMORY, NO_HOLD, NO_EMERGENCY = "mem_" + "0" * 26, "hld_" + "0" * 26, "emg_" + "0" * 26
NO_RUN = "run_" + "0" * 26
SAMPLE = str(READY / "samples" / "clinical-notes.json")
NO_EPISODE = "epi_" + "0" * 26
NO_TASK = "tsk_" + "0" * 26
DENIED = 4
LATER = "2090-01-01"
OWNER, MEMBER, CLINICIAN, ADVISER = Role.OWNER_AGENT, Role.MEMBER, Role.CLINICIAN, Role.ADVISER
AUDITOR, ADMIN, OFFICER, SERVICE = Role.AUDITOR, Role.ADMINISTRATOR, Role.PRIVACY_OFFICER, Role.SERVICE

# Commands that call nothing in a vault as anybody.
NOBODY: dict[str, str] = {
    "init": "makes a vault: whoever runs it owns the folder",
    "serve": "its callers are authenticated one by one (tests/api/test_http_walls.py)",
    "demo": "makes a vault of its own",
    "bench": "makes vaults of its own",
    "halumem generate": "writes made-up conversations, of no vault",
    "halumem run": "makes a vault of its own",
    "audit verify": "reads a bundle, or the vault as `audit export` does (below)",
    "audit verifier": "prints a public key",
    "audit forensics": "for a vault that does not open any more",
    "audit anchor": "prints or reads a file of public checkpoints",
    "certificate verify": "reads a certificate",
    "doctor": "the same as `principal add`: what it tells is for whoever has the folder",
    "policy lint": "reads a bundle, and no vault",
    "policy test": "the same",
    "policy diff": "reads two bundles, and no vault",
    "policy explain": "reads a bundle, and no vault",
    "policy keygen": "makes a key",
    "policy sign": "signs a bundle, and opens no vault",
    "policy verify": "reads a bundle, and no vault",
    "policy reload": "its server authenticates the caller (tests/api/test_policy_reload.py)",
    "policy who-can": "the same",
    "policy what-can": "the same",
    "pipeline list": "reads what comes with the vault",
    "pipeline check": "reads a pipeline, and no vault",
    "pipeline dry-run": "asks the rules what they would say, and does nothing (tests/vault/engineered)",
    "principal add": "acts as the operator of the folder, for whom no role can be named",
    "principal list": "the same",
    "principal revoke": "the same",
    "snapshot list": "reads public manifests in a folder of the caller's",
    "snapshot verify": "the same, of one snapshot",
    "witness init": "makes a witness",
    "witness trust": "is the witness's own",
    "witness evidence": "is the witness's own",
    "witness serve": "is the witness's own",
}


@dataclass(frozen=True)
class Entry:
    """One way in."""

    allowed: frozenset[Role]
    known: Callable[["House"], list[str]] = lambda _: []
    """Its arguments, about something that exists."""
    unknown: Callable[["House"], list[str]] | None = None
    """The same about something that does not; None where it is about nothing in particular."""
    not_run: frozenset[Role] = field(default=frozenset())
    """Roles that get through, and for whom running it would end the table: it changes what others are asked about."""


def by(*roles: Role) -> frozenset[Role]:
    return frozenset(roles)


@dataclass
class House:
    """A vault with something of each kind in it."""

    memvault: Memvault
    memory: str
    hold: str
    scratch: Path
    count: int = 0
    declared: str = ""

    def file(self) -> str:
        """Return the name of a file that is not there yet."""
        self.count += 1
        return str(self.scratch / f"file-{self.count}")

    def denials(self) -> int:
        """Count the denials in the log that somebody got, in the file itself."""
        told = "SELECT count(*) FROM audit_leaf WHERE instr(header, ?) AND instr(header, ?)"
        with closing(sqlite3.connect(self.scratch / "vault" / "vault.db")) as file:
            found = file.execute(told, ('"decision":"denied"', '"principal":"somebody"')).fetchone()
        return int(found[0])

    def episode(self) -> str:
        """Return the id of the memory's episode."""
        with closing(sqlite3.connect(self.scratch / "vault" / "vault.db")) as file:
            told = file.execute(
                "SELECT episode_id FROM memory WHERE memory_id = ?", (self.memory,)
            ).fetchone()
        return str(told[0])

    def snapshot(self) -> str:
        """Return the folder of a snapshot, made by an administrator when it is first asked for."""
        folder = self.scratch / "kept"
        if not folder.exists():
            assert self.memvault("snapshot", "create", str(folder)).exit_code == 0
        return str(next(folder.glob("snp_*")))

    def emergency(self) -> str:
        """Return the id of an emergency, declared when it is first asked for."""
        if not self.declared:
            told = self.memvault.json(
                *("emergency", "start", "--reason-code", "transfer", "--case", "case-1"),
                *("--minutes", "60", "--assurance", "mfa"),
            )
            self.declared = str(told["emergency"])
        return self.declared

    def text(self) -> str:
        """Return the name of a file with a text in it."""
        path = self.scratch / "note.txt"
        path.write_text("The knee is better.")
        return str(path)


READING = by(OWNER, MEMBER, CLINICIAN, ADVISER)
RUNNING, JUDGING, WATCHING = by(ADMIN), by(OFFICER), by(AUDITOR)
PLACE = ["--reason-code", "audit", "--review", LATER]
"""What a hold needs beside its target."""

ENTRIES: dict[str, Entry] = {
    "extract": Entry(by(OWNER, SERVICE), lambda house: [house.text()]),
    "retrieve": Entry(READING - by(CLINICIAN, ADVISER), lambda _: ["knee"], lambda _: ["zebra"]),
    "show": Entry(READING - by(CLINICIAN, ADVISER), lambda house: [house.memory], lambda _: [NO_MEMORY]),
    "reveal": Entry(by(OWNER), lambda house: [house.memory], lambda _: [NO_MEMORY]),
    "update": Entry(
        by(OWNER, MEMBER, SERVICE), lambda house: [house.memory, "so"], lambda _: [NO_MEMORY, "so"], by(OWNER)
    ),
    "organize": Entry(by(OWNER, MEMBER, SERVICE)),
    "erase": Entry(JUDGING, lambda _: ["maria"], lambda _: ["nobody"]),
    "certificate show": Entry(JUDGING, lambda _: ["maria"], lambda _: ["nobody"]),
    "audit tail": Entry(WATCHING),
    "audit checkpoint": Entry(WATCHING),
    "audit export": Entry(WATCHING, lambda house: [house.file()]),
    "audit prove": Entry(WATCHING, lambda _: ["1"], lambda _: ["999999"]),
    "audit stream": Entry(WATCHING, lambda _: ["--format", "csv"]),
    "audit lookup": Entry(WATCHING, lambda house: [house.text()]),
    "audit erase-payload": Entry(
        RUNNING,
        lambda _: ["1", "--reason-code", "retention"],
        lambda _: ["999999", "--reason-code", "retention"],
    ),
    "audit tiles": Entry(WATCHING, lambda house: [house.file()]),
    "audit finality": Entry(by(*Role), lambda _: ["1", "A" * 43 + "="], lambda _: ["999999", "A" * 43 + "="]),
    "audit retire-anchor": Entry(RUNNING, not_run=RUNNING),
    "audit roll-key": Entry(RUNNING, lambda _: ["start"], not_run=RUNNING),
    "audit query": Entry(WATCHING, lambda _: ["event:memory.write"], lambda _: ["event:memory.update"]),
    "audit intents": Entry(WATCHING),
    "audit intents close": Entry(
        RUNNING, lambda _: ["1", "--outcome", "failed"], lambda _: ["999999", "--outcome", "failed"]
    ),
    "policy replay": Entry(WATCHING, lambda _: [str(SHIPPED)]),
    "policy simulate": Entry(WATCHING, lambda _: [str(SHIPPED)]),
    "policy pin": Entry(RUNNING),
    "policy explain-entry": Entry(WATCHING, lambda _: ["1"], lambda _: ["999999"]),
    "hold place": Entry(
        JUDGING,
        lambda _: ["subject", "--matter", "m-2", "--subject", "maria", *PLACE],
        lambda _: ["subject", "--matter", "m-2", "--subject", "nobody", *PLACE],
        not_run=JUDGING,
    ),
    "hold add": Entry(
        JUDGING, lambda house: [house.hold, "--subject", "maria"], lambda _: [NO_HOLD, "--subject", "maria"]
    ),
    "hold list": Entry(JUDGING),
    "hold show": Entry(JUDGING, lambda house: [house.hold], lambda _: [NO_HOLD]),
    "hold review": Entry(
        JUDGING, lambda house: [house.hold, "--until", LATER], lambda _: [NO_HOLD, "--until", LATER]
    ),
    "hold ask-release": Entry(JUDGING, lambda house: [house.hold], lambda _: [NO_HOLD], JUDGING),
    "hold release": Entry(JUDGING, lambda house: [house.hold], lambda _: [NO_HOLD], JUDGING),
    "pipeline run": Entry(by(OWNER, MEMBER), lambda _: ["clinical-notes", "--inputs", SAMPLE]),
    "pipeline resume": Entry(by(OWNER, MEMBER), lambda _: [NO_RUN, "clinical-notes", "--inputs", SAMPLE]),
    "pipeline runs": Entry(by(OWNER, MEMBER), lambda _: [NO_RUN]),
    "promote": Entry(
        by(OWNER),
        lambda house: [house.memory, "--to", "institutional"],
        lambda _: [NO_MEMORY, "--to", "institutional"],
        by(OWNER),
    ),
    "care-team join": Entry(
        RUNNING, lambda _: ["maria", "--member", "dr-x"], lambda _: ["nobody", "--member", "dr-x"]
    ),
    "care-team leave": Entry(
        RUNNING, lambda _: ["maria", "--member", "dr-x"], lambda _: ["nobody", "--member", "dr-x"]
    ),
    "care-team show": Entry(RUNNING, lambda _: ["maria"], lambda _: ["nobody"]),
    "consent give": Entry(
        JUDGING, lambda _: ["maria", "--to", "research"], lambda _: ["nobody", "--to", "research"]
    ),
    "consent withdraw": Entry(
        JUDGING, lambda _: ["maria", "--to", "research"], lambda _: ["nobody", "--to", "research"]
    ),
    "consent show": Entry(JUDGING, lambda _: ["maria"], lambda _: ["nobody"]),
    # With one factor nobody breaks the glass, whatever the role.
    "emergency start": Entry(
        by(), lambda _: ["--reason-code", "transfer", "--case", "case-1", "--minutes", "5"]
    ),
    "emergency end": Entry(by(), lambda house: [house.emergency()], lambda _: [NO_EMERGENCY]),
    "emergency revoke": Entry(JUDGING, lambda house: [house.emergency()], lambda _: [NO_EMERGENCY]),
    "emergency list": Entry(JUDGING),
    "emergency review": Entry(
        JUDGING,
        lambda house: [house.emergency(), "--verdict", "justified"],
        lambda _: [NO_EMERGENCY, "--verdict", "justified"],
    ),
    "subject report": Entry(
        JUDGING,
        lambda house: ["maria", "--out", house.file()],
        lambda house: ["nobody", "--out", house.file()],
    ),
    "subject export": Entry(
        JUDGING,
        lambda house: ["maria", "--out", house.file()],
        lambda house: ["nobody", "--out", house.file()],
    ),
    "subject rectify": Entry(
        JUDGING | by(OWNER, MEMBER),  # of their own memories; this one is to them as if it were not there
        lambda house: [house.memory, "so", "--reason-code", "inaccurate"],
        lambda _: [NO_MEMORY, "so", "--reason-code", "inaccurate"],
        JUDGING,
    ),
    "subject restrict": Entry(JUDGING, lambda _: ["maria"], lambda _: ["nobody"], JUDGING),
    "subject object": Entry(
        JUDGING,
        lambda _: ["maria", "--against", "research"],
        lambda _: ["nobody", "--against", "research"],
        JUDGING,
    ),
    "subject lift": Entry(JUDGING, lambda _: ["maria"], lambda _: ["nobody"]),
    "subject restrictions": Entry(JUDGING, lambda _: ["maria"], lambda _: ["nobody"]),
    "retention list": Entry(RUNNING),
    "retention due": Entry(RUNNING),
    "retention explain": Entry(RUNNING, lambda house: [house.memory], lambda _: [NO_MEMORY]),
    "retention review": Entry(JUDGING),
    "retention decide": Entry(JUDGING, lambda house: [house.memory, "keep"], lambda _: [NO_MEMORY, "keep"]),
    "retention confirm-clock": Entry(RUNNING, lambda _: []),
    "keys status": Entry(RUNNING),
    "keys rotate": Entry(RUNNING, lambda _: ["maria"], lambda _: ["nobody"]),
    "keys rewrap": Entry(RUNNING),
    "keys re-encrypt": Entry(RUNNING),
    "keys migrate": Entry(RUNNING, lambda _: ["--to", "file"], not_run=RUNNING),
    "context": Entry(READING - by(CLINICIAN, ADVISER), lambda _: ["knee"], lambda _: ["zebra"]),
    "episode": Entry(
        READING - by(CLINICIAN, ADVISER), lambda house: [house.episode()], lambda _: [NO_EPISODE]
    ),
    "tiers status": Entry(RUNNING),
    "tiers move": Entry(
        RUNNING, lambda house: [house.memory, "activation"], lambda _: [NO_MEMORY, "activation"]
    ),
    "feedback confirm": Entry(
        by(OWNER, MEMBER, SERVICE), lambda house: [house.memory], lambda _: [NO_MEMORY], by(OWNER)
    ),
    "feedback correct": Entry(
        by(OWNER, MEMBER, SERVICE), lambda house: [house.memory, "so"], lambda _: [NO_MEMORY, "so"], by(OWNER)
    ),
    "feedback retract": Entry(
        by(OWNER, MEMBER, SERVICE), lambda house: [house.memory], lambda _: [NO_MEMORY], by(OWNER)
    ),
    "feedback rate": Entry(
        by(OWNER, MEMBER, SERVICE),
        lambda house: [house.memory, "useful"],
        lambda _: [NO_MEMORY, "useful"],
        by(OWNER),
    ),
    "supported": Entry(READING - by(CLINICIAN, ADVISER), lambda _: ["The knee hurts."], lambda _: ["Zebra."]),
    "guard list": Entry(JUDGING),
    "guard release": Entry(JUDGING, lambda _: [NO_MEMORY], lambda _: [NO_MEMORY]),
    "queue put": Entry(by(OWNER, MEMBER, SERVICE), lambda _: ["organize"]),
    "queue take-back": Entry(by(OWNER, MEMBER, SERVICE), lambda house: [house.memory], lambda _: [NO_MEMORY]),
    "queue status": Entry(RUNNING),
    "queue dead": Entry(RUNNING),
    "queue retry": Entry(RUNNING, lambda _: [NO_TASK], lambda _: [NO_TASK]),
    "queue discard": Entry(RUNNING, lambda _: [NO_TASK], lambda _: [NO_TASK]),
    "queue run": Entry(RUNNING),
    "jobs list": Entry(RUNNING),
    "jobs run": Entry(RUNNING, lambda _: ["checkpoint"]),
    "jobs pause": Entry(RUNNING, lambda _: ["checkpoint"]),
    "jobs resume": Entry(RUNNING, lambda _: ["checkpoint"]),
    "jobs history": Entry(RUNNING),
    "snapshot create": Entry(RUNNING, lambda house: [str(house.scratch / "snapshots")]),
    "snapshot restore": Entry(RUNNING, lambda house: [house.snapshot(), "--plan"]),
    "snapshot prune": Entry(RUNNING, lambda house: [str(house.scratch), "--keep", "7"]),
}
"""All others, under the purpose that each command has of its own."""


def leaves(command: object, words: tuple[str, ...]) -> Iterator[str]:
    """Go through all commands that do something, by their words."""
    inner = getattr(command, "commands", None)
    if not inner or getattr(command, "invoke_without_command", False):
        yield " ".join(words)
    for name, one in (inner or {}).items():
        yield from leaves(one, (*words, name))


@pytest.fixture
def house(memvault: Memvault, memory_id: str, tmp_path: Path) -> House:
    told = memvault.json("hold", "place", "subject", "--matter", "m-1", "--subject", "maria", *PLACE)
    return House(memvault, memory_id, str(told["hold"]), tmp_path)


def test_no_command_is_missing_and_none_is_made_up() -> None:
    found = frozenset(leaves(get_command(app), ()))
    assert found == ENTRIES.keys() | NOBODY.keys()
    assert not ENTRIES.keys() & NOBODY.keys()


def heard(house: House, words: list[str], role: Role) -> tuple[int, str]:
    """Run a command as a role, and return how it ended and what it said."""
    ended = house.memvault(*words, "--as", "somebody", "--role", role.value)
    return ended.exit_code, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_a_command_lets_through_whom_the_rules_allow_and_nobody_learns_by_a_denial(
    house: House, name: str
) -> None:
    entry, words = ENTRIES[name], name.split()
    for role in Role:
        if role in entry.not_run:
            continue
        before = house.denials()
        ended, said = heard(house, [*words, *entry.known(house)], role)
        assert (ended == DENIED) is (role not in entry.allowed), (role, ended, said)
        if ended == DENIED:
            assert house.denials() > before
            assert house.memory not in said
            assert house.hold not in said
            if entry.unknown is not None:
                assert heard(house, [*words, *entry.unknown(house)], role) == (ended, said)
