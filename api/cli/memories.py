"""Commands about memories: extract, retrieve, show, reveal, update, organize."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import (
    AsOption,
    Caller,
    JsonOption,
    PurposeOption,
    RoleOption,
    TenantOption,
    VaultOption,
    agent,
)
from api.cli.output import flat, note, print_json, progress, reported, say
from policies.model import AccessTier

if TYPE_CHECKING:
    from api.cli.session import Session
    from api.cli.shapes import SourceView
    from api.cli.sources import FileKind
    from vault.model import Memory, Source
    from vault.pipeline.limits import InputLimits

STDIN: Final = "-"
WAIT_SECONDS: Final = 0.2
STALL_SECONDS: Final = 300.0
"""Without any new vector for so long, they are left to the next opening."""
_HIT_INDENT: Final = 13
_VALUE_INDENT: Final = 12
_KINDS: Final = ("auto", "chat", "text", "markdown", "json")

SubjectOption = Annotated[
    list[str] | None,
    typer.Option("--subject", metavar="NAME", help="Whom it is about; several make a joint key."),
]
SubjectFileOption = Annotated[
    Path | None,
    typer.Option(
        "--subject-file", metavar="FILE", help="The same, one name a line: argv can be seen by others."
    ),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A memory's id: mem_…")]


def extract(
    *,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Chats (our JSON or LoCoMo's), text, Markdown, JSON; - is standard input."
        ),
    ],
    kind: Annotated[str, typer.Option(help=f"What the files are: {', '.join(_KINDS)}.")] = "auto",
    subject: SubjectOption = None,
    subject_file: SubjectFileOption = None,
    tier: Annotated[AccessTier, typer.Option(help="Who it is open to.")] = AccessTier.PRIVATE,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave dense vectors to the next opening.")
    ] = False,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write conversations and documents into the vault: screened, sealed, logged."""
    if kind not in _KINDS:
        raise typer.BadParameter(f"expected one of {', '.join(_KINDS)}", param_hint="--kind")
    with reported(as_json=as_json):
        from api.cli.session import session  # noqa: PLC0415  # loads the vault; `--help` does not
        from api.cli.sources import FileKind  # noqa: PLC0415

        with session(vault, agent(as_, role, tenant, purpose)) as opened:
            written: list[SourceView] = []
            embedded = False
            try:
                names = _subjects(subject, subject_file, opened.settings.limits)
                _write_all(opened, files, FileKind(kind), names, tier, written=written, quiet=as_json)
                embedded = not no_wait and _wait(opened, quiet=as_json)
            finally:
                _print_written(written, embedded=embedded, as_json=as_json)


def _write_all(
    opened: "Session",
    files: list[str],
    kind: "FileKind",
    names: tuple[str, ...],
    tier: AccessTier,
    *,
    written: "list[SourceView]",
    quiet: bool,
) -> None:
    from api.cli.shapes import SourceView  # noqa: PLC0415

    memory = opened.memory
    with progress(quiet=quiet) as bar:
        for file in files:
            sources = _sources(opened, file, kind)
            task = bar.add_task(flat(Path(file).name), total=len(sources))
            for source in sources:
                receipt = memory.extract(source, subject=names or None, access_tier=tier)
                written.append(SourceView.of(file, receipt))
                bar.advance(task)


def _sources(opened: "Session", file: str, kind: "FileKind") -> "tuple[Source, ...]":
    from api.cli.sources import read_bytes, read_sources, read_stream  # noqa: PLC0415

    limits = opened.settings.limits
    if file == STDIN:
        return read_sources("", read_stream(sys.stdin.buffer, limits), kind, limits)
    return read_sources(Path(file).name, read_bytes(Path(file), limits), kind, limits)


def _subjects(named: list[str] | None, file: Path | None, limits: "InputLimits") -> tuple[str, ...]:
    from api.cli.sources import read_bytes  # noqa: PLC0415
    from vault.pipeline.documents import decode  # noqa: PLC0415

    names = list(named or [])
    if file is not None:
        text = decode(read_bytes(file, limits), limits.document_bytes)
        names += [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(names)


def _wait(opened: "Session", *, quiet: bool) -> bool:
    """Wait for dense vectors, showing how many are left; say whether all were made."""
    worker = opened.vault.parts.embedding
    total = left = worker.backlog
    idle = 0.0
    with progress(quiet=quiet) as bar:
        task = bar.add_task("dense vectors", total=total)
        while not opened.vault.wait(WAIT_SECONDS) and idle < STALL_SECONDS:
            idle = idle + WAIT_SECONDS if worker.backlog == left else 0.0
            left = worker.backlog
            bar.update(task, completed=total - left)
    return not worker.failed and not worker.backlog


def _print_written(written: "list[SourceView]", *, embedded: bool, as_json: bool) -> None:
    from api.cli.shapes import ExtractedView  # noqa: PLC0415

    count = sum(len(source.memory_ids) for source in written)
    if as_json:
        print_json(ExtractedView(memories=count, sources=written, embedded=embedded))
        return
    for source in written:
        ids = source.memory_ids
        shown = ids[0] if len(ids) == 1 else f"{ids[0]} … {ids[-1]}"
        say(f"{source.episode_id}  {len(ids):>5} memories  {shown}  entry {source.receipt.leaf_index}")
    note(f"{count} memories in {len(written)} episodes")


def retrieve(
    *,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The question; - reads it from standard input.")
    ],
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=200, help="How many memories.")] = 10,
    subject: SubjectOption = None,
    subject_file: SubjectFileOption = None,
    show_originals: Annotated[
        bool, typer.Option("--reveal", help="Show originals where that is allowed.")
    ] = False,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the memories that answer a question best."""
    with reported(as_json=as_json):
        from api.cli.session import session  # noqa: PLC0415
        from api.schemas.views import AnswerView  # noqa: PLC0415

        with session(vault, agent(as_, role, tenant, purpose)) as opened:
            names = _subjects(subject, subject_file, opened.settings.limits)
            text = _text(opened) if query == STDIN else query
            answer = opened.memory.retrieve(text, k=k, subject=names or None, reveal=show_originals)
    if as_json:
        print_json(AnswerView.of(answer))
        return
    note(f"searched: {answer.masked_query}")
    for place, hit in enumerate(answer.hits, start=1):
        say(f"{place:>3}. {hit.score:6.2f}  {hit.memory.text}", _HIT_INDENT)
        say(" " * _HIT_INDENT + _origin(hit.memory), _HIT_INDENT)
    note(f"{len(answer.hits)} memories; this read is entry {answer.read_in}")


def _origin(memory: "Memory") -> str:
    """Return in one line where a memory comes from."""
    came = memory.provenance
    parts = [
        memory.id,
        memory.trust.value,
        came.speaker or came.role.value,
        came.at.date().isoformat() if came.at else "",
        came.title or came.name,
        f"edited by {came.edited_by}" if came.edited_by else "",
        f"{came.episode_id}#{came.position}",
    ]
    return " · ".join(part for part in parts if part)


def _text(opened: "Session") -> str:
    """Return standard input as text, without its last newline."""
    from api.cli.sources import read_stream  # noqa: PLC0415
    from vault.pipeline.documents import decode  # noqa: PLC0415

    limits = opened.settings.limits
    return decode(read_stream(sys.stdin.buffer, limits), limits.document_bytes).removesuffix("\n")


def show(
    *,
    memory_id: IdArgument,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one memory, masked."""
    _show_one(vault, agent(as_, role, tenant, purpose), memory_id, originals=False, as_json=as_json)


def reveal(
    *,
    memory_id: IdArgument,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one memory with its originals in place of tokens, if role and purpose allow it."""
    _show_one(vault, agent(as_, role, tenant, purpose), memory_id, originals=True, as_json=as_json)


def _show_one(vault: Path | None, caller: Caller, memory_id: str, *, originals: bool, as_json: bool) -> None:
    with reported(as_json=as_json):
        from api.cli.session import session  # noqa: PLC0415
        from api.schemas.views import MemoryView  # noqa: PLC0415

        with session(vault, caller) as opened:
            memory = opened.memory.reveal(memory_id) if originals else opened.memory.get(memory_id)
    if as_json:
        print_json(MemoryView.of(memory))
        return
    for label, value in _lines(memory):
        say(f"{label:<11} {value}", _VALUE_INDENT)


def _lines(memory: "Memory") -> Iterator[tuple[str, str]]:
    came = memory.provenance
    yield "text", memory.text
    yield "id", f"{memory.id} version {memory.version}"
    yield "trust", memory.trust.value
    yield "tiers", f"{memory.access_tier.value} · {memory.memory_tier.value}"
    yield "speaker", f"{came.speaker} ({came.role.value})" if came.speaker else came.role.value
    if came.at:
        yield "said", came.at.isoformat()
    yield "source", f"{came.episode_id}#{came.position} characters {came.source.start} to {came.source.end}"
    if came.name:
        yield "file", came.name
    if came.edited_by:
        yield "edited by", f"{came.edited_by}; source and speaker are those of the first version"
    yield "recorded", f"{memory.recorded.isoformat()} in entry {memory.written_in}"
    labels = {
        "title": came.title,
        "ref": came.ref or "",
        "keyphrases": ", ".join(memory.annotations.keyphrases),
        "tags": ", ".join(memory.tags),
        "metadata": ", ".join(f"{key}={value}" for key, value in memory.metadata.items()),
    }
    yield from ((label, value) for label, value in labels.items() if value)


def update(
    *,
    memory_id: IdArgument,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="The new text; - reads it from standard input.")
    ] = STDIN,
    file: Annotated[Path | None, typer.Option("--file", help="Read the new text from a file.")] = None,
    expect_version: Annotated[
        int | None, typer.Option(min=1, help="Only if it still has this version.")
    ] = None,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a new version of a memory's text; tokens that still stand in it keep their originals."""
    if file is not None and text != STDIN:
        raise typer.BadParameter("expected a text or a file, not both", param_hint="--file")
    with reported(as_json=as_json):
        from api.cli.session import session  # noqa: PLC0415
        from api.cli.sources import read_bytes  # noqa: PLC0415
        from api.schemas.views import WrittenView  # noqa: PLC0415
        from vault.pipeline.documents import decode  # noqa: PLC0415

        with session(vault, agent(as_, role, tenant, purpose)) as opened:
            limits = opened.settings.limits
            if file is not None:
                text = decode(read_bytes(file, limits), limits.document_bytes).removesuffix("\n")
            elif text == STDIN:
                text = _text(opened)
            receipt = opened.memory.update(memory_id, text, expected_version=expect_version)
            _wait(opened, quiet=as_json)
    if as_json:
        print_json(WrittenView.of(receipt))
        return
    say(f"{receipt.memory_ids[0]}  entry {receipt.leaf_index}")


def organize(
    *,
    subject: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whom it is about; none is your own notes.")
    ] = None,
    subject_file: SubjectFileOption = None,
    vault: VaultOption = None,
    as_: AsOption = None,
    role: RoleOption = None,
    tenant: TenantOption = None,
    purpose: PurposeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Link, correct and confirm what is known about a subject, by rule."""
    with reported(as_json=as_json):
        from api.cli.session import session  # noqa: PLC0415
        from api.schemas.views import OrganizedView  # noqa: PLC0415

        with session(vault, agent(as_, role, tenant, purpose)) as opened:
            names = _subjects([subject] if subject else None, subject_file, opened.settings.limits)
            done = opened.memory.organize(subject=names[0] if names else None)
    if as_json:
        print_json(OrganizedView.of(done))
        return
    for link in done.links:
        say(f"{link.source} {link.kind.value} {link.target}  ({link.reason.value})")
    for change in done.trust:
        say(f"{change.memory} is now {change.trust.value}")
    note(f"{done.examined} memories examined; entry {done.leaf_index}")
