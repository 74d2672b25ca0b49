"""The demonstration in the terminal: six acts, readable at 100 columns, without colour, and in a pipe.

What comes from the conversation is a stranger's: it is shown on one line, its control characters as escapes,
and never read as markup.
"""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from api.cli.output import flat
from api.demo.run import Asked, Played
from vault.model import Memory, SpeakerRole, TrustState

_ANSWER_WIDTH = 110


def show(played: Played, report: Path, console: Console) -> None:
    """Print the whole demonstration."""
    _intro(played, console)
    _screening(played, console)
    _answers(played, console)
    _asked(played, console)
    _organized(played, console)
    _proofs(played, console)
    _disk(played, console)
    console.print(
        f"\nThe whole of it as one page, readable without a network: [bold]{_plain(str(report))}[/bold]"
    )


def _act(console: Console, number: int, title: str) -> None:
    console.print()
    console.rule(f"[bold]{number}  {title}", align="left")


def _intro(played: Played, console: Console) -> None:
    story = played.story
    console.print(
        Panel(
            Text(
                f"{flat(story.name)}: {len(story.chats)} sessions, {played.turns} turns.\n"
                f"Screened, sealed and committed in {played.extract_seconds:.1f} s;"
                f" the last dense vector stood after {played.vector_seconds:.1f} s.\n"
                f"Rules in force: {played.bundle_digest[:23]}…  Vault: {flat(str(played.folder))}"
            ),
            title="memos-vault",
            title_align="left",
        )
    )


def _screening(played: Played, console: Console) -> None:
    screening = played.screening
    _act(console, 1, "What was found, and how it now reads")
    for ref, raw, masked in screening.samples[:4]:
        console.print(Text.assemble((f"{flat(ref):>6} said    ", "dim"), flat(raw)))
        console.print(Text.assemble(("       stored  ", "dim"), flat(masked)))
    console.print(
        f"Tokens in the stored text: {sum(screening.tokens.values())}, of {len(screening.tokens)} kinds."
    )
    if not played.story.planted:
        console.print("Nothing was planted in this file, so what the gate missed cannot be counted here.")
        return
    table = Table("planted kind", "planted", "hidden", "missed", title_justify="left")
    for row in screening.kinds:
        table.add_row(
            _plain(row.kind), str(row.planted), str(row.hidden), str(row.planted - row.hidden or "")
        )
    console.print(table)
    planted = sum(row.planted for row in screening.kinds)
    console.print(
        f"Of {planted} planted values {planted - len(screening.missed)} are hidden whole, {len(screening.missed)} are not;"
        f" {screening.needless} tokens hide something that was not planted."
    )
    for missed in screening.missed:
        why = f"  ({missed.planted.hard})" if missed.planted.hard else ""
        console.print(
            Text.assemble(
                ("  missed  ", "yellow"),
                flat(f"{missed.planted.ref} {missed.planted.kind}: {missed.planted.value!r}{why}"),
            )
        )
    console.print(
        "What is missed is sealed like all the rest; it stands readable for those who may read.", style="dim"
    )


def _answers(played: Played, console: Console) -> None:
    _act(console, 2, "Questions by the owner, masked, with provenance")
    for answered in played.answers:
        console.print(Text.assemble(("? ", "bold"), flat(answered.question.text)))
        if not answered.answer.hits:
            console.print("    nothing found")
            continue
        shown = answered.found_at or 1
        memory = answered.answer.hits[shown - 1].memory
        said = memory.provenance.at.date().isoformat() if memory.provenance.at else "undated"
        console.print(Text(f"    {_cut(memory.text)}"))
        console.print(
            Text(
                f"    {flat(memory.provenance.ref or '')} said {said} by {flat(memory.provenance.speaker)}, {_trust(memory)};"
                f" rank {answered.found_at or 'of the evidence: not in the first 5'};"
                f" {answered.milliseconds:.0f} ms; read in entry {answered.answer.read_in}",
                style="dim",
            )
        )
    found = sum(answered.found_at is not None for answered in played.answers)
    console.print(
        f"The turn that answers stood among the first five for {found} of {len(played.answers)} questions."
    )


def _asked(played: Played, console: Console) -> None:
    if not played.asked:
        return
    _act(console, 3, f"The same question, by whom: {_plain(played.asked_about)}")
    table = Table("who", "role", "purpose", "outcome", "sees")
    for asked in played.asked:
        table.add_row(
            asked.principal.id,
            _role(asked),
            asked.purpose.value,
            _plain(asked.outcome),
            escape(_cut(asked.text)) or "-",
        )
    console.print(table)


def _role(asked: Asked) -> str:
    return ", ".join(sorted(role.value for role in asked.principal.roles))


def _organized(played: Played, console: Console) -> None:
    _act(console, 4, "What the rules made of corrections and of the assistant's word")
    console.print(
        f"{played.links} links between memories. {played.candidates} memories are the assistant's word alone and stay"
        f" candidates; {len(played.disputed)} are disputed because the patient corrected or denied them."
    )
    for memory in played.disputed[:6]:
        console.print(
            Text(
                f"  {flat(memory.provenance.ref or '')}  {memory.provenance.role.value}: {_cut(memory.text)}"
            )
        )


def _proofs(played: Played, console: Console) -> None:
    proofs = played.proofs
    _act(console, 5, "Receipt and proof")
    receipt = proofs.receipt
    console.print(
        f"receipt     entry {receipt.leaf_index} of {receipt.log_origin}, hash {receipt.leaf_hash.hex()[:32]}…"
    )
    console.print(
        f"inclusion   path of {len(proofs.proof.path)} hashes to the signed root: verified with the public key alone"
    )
    console.print(f"key         {proofs.verifier_key}", soft_wrap=True)
    verdict = "passed" if proofs.inside.passed else "FAILED"
    console.print(
        f"whole log   {proofs.entries} entries, {proofs.inside.rows_checked} sealed rows against them: {verdict}"
    )
    console.print(
        f"offline     memvault audit verify {_plain(str(proofs.bundle))} --key KEY: {'passed' if proofs.offline_passed else 'FAILED'}"
    )
    console.print(
        f"altered     one bit at byte {proofs.altered_byte} of the bundle: caught: {_plain(proofs.altered_finding)}",
        soft_wrap=True,
    )
    events = ", ".join(f"{name} {count}" for name, count in sorted(proofs.events.items()))
    console.print(f"entries     {events}; {proofs.denied} of them denials", soft_wrap=True)


def _disk(played: Played, console: Console) -> None:
    disk = played.disk
    _act(console, 6, "Every byte on disk")
    console.print(
        f"{disk.hunt.files} files, {disk.hunt.size:,} bytes, searched for {disk.hunt.values} values and sentences in"
        f" {disk.hunt.forms} forms: [bold]{len(disk.hunt.sightings)} found[/bold]."
    )
    for sighting in disk.hunt.sightings:
        console.print(
            Text.assemble(
                ("  FOUND  ", "red"), flat(f"{sighting.value!r} as {sighting.form} in {sighting.file}")
            )
        )
    if disk.too_short:
        console.print(
            f"{disk.too_short} values are shorter than six bytes and were left out: they stand in any few megabytes by chance.",
            style="dim",
        )
    console.print(
        f"Control: the same search over the conversation itself finds {len(disk.control.sightings)} in"
        f" {disk.control.files} file. Try it without our code (every count must be 0):"
    )
    console.print(f"  {_plain(disk.command)}", soft_wrap=True, highlight=False)


def _trust(memory: Memory) -> str:
    alone = memory.trust is TrustState.CANDIDATE and memory.provenance.role is SpeakerRole.ASSISTANT
    return "candidate: the assistant's word alone" if alone else memory.trust.value


def _cut(text: str) -> str:
    line = flat(" ".join(text.split()))
    return line if len(line) <= _ANSWER_WIDTH else line[: _ANSWER_WIDTH - 1] + "…"


def _plain(text: str) -> str:
    """Return text for a place that reads markup."""
    return escape(flat(text))
