"""What `--json` prints beyond the views of the HTTP API. Fields are added over time, never renamed."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import ReceiptView, View, WrittenView
from audit.proof import ProvenEntry
from vault.model import Receipt


class InitView(View):
    """A vault that was made."""

    vault: str
    tenant: str
    deployment: str
    root_key: Annotated[str, Field(description="file, passphrase or transit")]
    verifier_key: Annotated[str, Field(description="public key of the logs: keep a copy elsewhere")]
    principal: str | None
    roles: list[str]
    api_key: Annotated[str | None, Field(description="shown this once")]


class PrincipalView(View):
    """An API key that was made."""

    principal: str
    tenant: str
    roles: list[str]
    api_key: Annotated[str, Field(description="shown this once")]


class CredentialView(View):
    """An API key's credential: never the key."""

    credential: str
    principal: Annotated[str | None, Field(description="null: the row is not what was written")]
    roles: list[str]
    created: str | None


class CredentialsView(View):
    """The credentials of a tenant."""

    tenant: str
    credentials: list[CredentialView]


class RevokedView(View):
    """A credential that was taken back."""

    credential: str
    principal: str | None
    entry: Annotated[int, Field(description="audit leaf index")]


class SourceView(View):
    """What became of one chat or document."""

    file: str
    memory_ids: list[str]
    episode_id: str | None
    receipt: ReceiptView

    @classmethod
    def of(cls, file: str, receipt: Receipt) -> Self:
        """Show a source's receipt."""
        written = WrittenView.of(receipt)
        return cls(
            file=file,
            memory_ids=written.memory_ids,
            episode_id=written.episode_id,
            receipt=written.receipt,
        )


class ExtractedView(View):
    """What `extract` wrote: with an error, what was written before it."""

    memories: int
    sources: list[SourceView]
    embedded: Annotated[bool, Field(description="whether every memory has its dense vector already")]


class ExportView(View):
    """A bundle that was written."""

    file: str
    entries: int
    verifier_key: str


class ProofFileView(View):
    """A proof that was written."""

    file: str
    index: int
    verifier_key: str


class ProvenView(View):
    """What a proof showed."""

    passed: bool
    index: int
    origin: str
    size: int
    root: str
    witnesses: list[str]
    event: str
    principal: str
    outcome: str
    time: str

    @classmethod
    def of(cls, proven: ProvenEntry) -> Self:
        """Show an entry that was proved."""
        header, checkpoint = proven.header, proven.checkpoint
        return cls(
            passed=True,
            index=proven.index,
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            witnesses=list(proven.witnesses),
            event=header.event,
            principal=header.principal,
            outcome=header.outcome,
            time=header.time.isoformat(),
        )


class KeyView(View):
    """A sealing key, as the key store knows it: never the key itself."""

    tenant: str
    kind: str
    subject: Annotated[str | None, Field(description="vault id; null for a tenant's own keys")]
    version: int
    state: str
    fingerprint: str
    seals_reserved: Annotated[int, Field(description="upper bound of the seals made with it")]
    seals_limit: int
    created: str


class KeysView(View):
    """The keys of a vault."""

    root_kind: str
    root_fingerprint: str
    moving: Annotated[bool, Field(description="a move to another root was begun and came to no end")]
    log_key: Annotated[str, Field(description="verifier key of the logs")]
    counts: Annotated[dict[str, int], Field(description="number of keys by state")]
    keys: list[KeyView]


class RotatedView(View):
    """Keys that got a newer version."""

    rotated: int
    unreadable: Annotated[list[str], Field(description="subjects whose key does not open: they keep it")]


class RootChangedView(View):
    """Keys that were wrapped anew."""

    root_kind: str
    root_fingerprint: str
    wrapped: Annotated[int, Field(description="keys that are under the newer root, and were not")]
    remaining: Annotated[int, Field(description="keys that are left under the older one")]
    faults: Annotated[list[str], Field(description="keys that could not be wrapped anew, and why")]


class ReencryptedView(View):
    """Rows that were sealed anew."""

    memories: Annotated[int, Field(description="versions of memories")]
    embeddings: int
    episodes: int
    names: int
    unreadable: Annotated[list[str], Field(description="rows that stay: not to be opened, or not the log's")]
    remaining: Annotated[int, Field(description="rows left under older keys, as the entry says")]
    entry: Annotated[int | None, Field(description="audit leaf index")]
    retired: Annotated[int, Field(description="older keys under which nothing lies")]
    destroyed: Annotated[list[str], Field(description="fingerprints")]


class CheckView(View):
    """One line of `doctor`."""

    check: str
    status: Annotated[str, Field(description="ok, warning, failed or could not check")]
    detail: str


class DoctorView(View):
    """What `doctor` found."""

    healthy: Annotated[bool, Field(description="nothing failed and everything could be checked")]
    checks: list[CheckView]


class TilesView(View):
    """What `audit tiles` wrote."""

    size: Annotated[int, Field(description="entries that the folder now holds")]
    since: Annotated[int, Field(description="entries that it held before")]
    files: Annotated[int, Field(description="files that were written, without the checkpoint")]
    verifier_key: Annotated[str, Field(description="public key of this log")]


class KeyRolledView(View):
    """A step of a roll-over of the log key."""

    step: str
    old: Annotated[str, Field(description="public key that was in force")]
    new: Annotated[str, Field(description="public key that takes over: give it to whoever verifies")]
    handover: Annotated[str, Field(description="the note by which the old key names the new one")]
