"""The facade: what an integrator calls.

    from vault import MemOS

    with MemOS.open("/srv/vault", principal=principal) as memory:
        receipt = memory.extract(chat, subject="patient 17", purpose=Purpose.TREATMENT)
        memory.organize(subject="patient 17")
        answer = memory.retrieve("which knee hurts?", k=5)

`MemOS` is one principal's view of an open `Vault`. It translates arguments; the write path, the read
path and the organizer do the work, and each of them decides, logs and seals for itself. The log's methods are
`vault.log_view`'s.

A write that raises a `VaultError` kept no memory. One that is interrupted (`KeyboardInterrupt`) may be durable
all the same: another thread commits for the main thread, and ends what it has begun. Look with `retrieve`
before writing it again.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from policies.model import AccessTier, Action, Principal, Purpose, Resource, Role
from vault.bundles.following import Following
from vault.context_path import Context, ContextPath, ContextQuestion
from vault.crypto.aead import MAX_SUBJECTS
from vault.engineered.view import PipelineView
from vault.errors import IdentifierInvalidError, InputInvalidError
from vault.feedback import Feedback
from vault.feedback_view import FeedbackView
from vault.guarding.view import GuardView
from vault.journal import Call
from vault.model import Answer, Chat, Document, Memory, Receipt, Source, Turn
from vault.organizer import Organized, Organizer
from vault.parts import Parts
from vault.promotion import Promotion, Promotions
from vault.queueing.view import QueueView
from vault.read_path import Question, ReadPath
from vault.tiers.context import CountTokens, estimated_tokens
from vault.tiers.view import TierView
from vault.update_path import Change, UpdatePath
from vault.write_path import WritePath, WriteRequest

if TYPE_CHECKING:
    from vault.opening import Vault

LOCAL_PRINCIPAL = Principal("local-agent", "local", frozenset({Role.OWNER_AGENT}))
"""Who calls when nobody is named: the owner of an embedded vault in the user's own data directory."""

Extractable = Source | Sequence[Turn] | str


class _Paths:
    """What the methods call, under one bundle: a call takes one of these, and goes on with it."""

    def __init__(self, parts: Parts) -> None:
        self.write: Final = WritePath(parts)
        self.read: Final = ReadPath(parts)
        self.update: Final = UpdatePath(parts)
        self.organizer: Final = Organizer(parts)
        self.promotions: Final = Promotions(parts)
        self.context: Final = ContextPath(self.read, parts.windows)
        self.feedback: Final = Feedback(parts)


class MemOS(GuardView, PipelineView, QueueView, TierView, AbstractContextManager["MemOS"]):
    """One principal's memory, and its view of the log.

    Args:
        vault: An open vault; None opens, and on first use makes, an embedded one in the user's data
            directory, which this object then owns and closes.
        principal: Who calls, as the edge has authenticated it.
        purpose: Why, where a call does not say otherwise.
        emergency: Id of an emergency that the principal declared (`vault.emergencies`): what is read, searched and
            revealed is asked for under it, and each entry names it.

    Raises:
        NotFoundError: the vault does not know the principal's tenant.
        VaultError: the vault cannot be opened.
    """

    def __init__(
        self,
        vault: "Vault | None" = None,
        *,
        principal: Principal = LOCAL_PRINCIPAL,
        purpose: Purpose = Purpose.OPERATIONS,
        emergency: str | None = None,
    ) -> None:
        self._emergency = emergency
        self._owned: Vault | None = None
        if vault is None:
            from vault.opening import open_default  # noqa: PLC0415  # the vault loads models; the name does not

            vault = self._owned = open_default(principal.tenant)
        try:
            vault.require_tenant(principal.tenant)
        except BaseException:
            self.close()
            raise
        opened = vault
        super().__init__(lambda: opened.parts, principal)
        self._vault = vault
        self._purpose = purpose
        self._paths = Following(lambda: opened.parts, _Paths)

    @property
    def _write(self) -> WritePath:
        return self._paths.now().write

    @property
    def _read(self) -> ReadPath:
        return self._paths.now().read

    @property
    def _update(self) -> UpdatePath:
        return self._paths.now().update

    @property
    def _organizer(self) -> Organizer:
        return self._paths.now().organizer

    @property
    def _promotions(self) -> Promotions:
        return self._paths.now().promotions

    @property
    def _context(self) -> ContextPath:
        return self._paths.now().context

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        principal: Principal = LOCAL_PRINCIPAL,
        purpose: Purpose = Purpose.OPERATIONS,
        passphrase: str | None = None,
    ) -> "MemOS":
        """Open an embedded vault for one principal; closing the facade closes the vault.

        Raises:
            NotFoundError: there is no vault at this path.
            VaultInUseError: another process has it open.
            KeyAccessError: its root key is missing, unsafe or another one.
            StorageError: or one of its kinds: it is damaged, or of a newer version.
        """
        from vault.opening import Vault  # noqa: PLC0415  # as above

        vault = Vault.open(Path(path), passphrase=passphrase)
        try:
            memory = cls(vault, principal=principal, purpose=purpose)
        except BaseException:
            vault.close()
            raise
        memory._owned = vault
        return memory

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return self._principal

    def extract(
        self,
        source: Extractable,
        *,
        subject: str | Iterable[str] | None = None,
        access_tier: AccessTier = AccessTier.PRIVATE,
        purpose: Purpose | None = None,
    ) -> Receipt:
        """Write one conversation session or document as one episode of memories.

        Args:
            source: A `Chat`, a `Document`, turns, or plain text.
            subject: The caller's name of the person, or persons, that this is about. Several make a
                joint key: erasing any one of them shreds it. None means the principal's own notes.
            access_tier: Who it is open to.
            purpose: Why it is written.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: or one of its kinds: it cannot be kept as it is.
            ScreeningRefusedError: the privacy rules refuse it.
            KeyAccessError, StorageError: nothing was written.
        """
        request = WriteRequest(_source(source), _names(subject), access_tier, purpose or self._purpose)
        return self._write.extract(self._principal, request)

    def organize(self, *, subject: str | None = None, purpose: Purpose | None = None) -> Organized:
        """Link, supersede and verify what is known about a subject, by rule; None: the principal's own notes.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the subject is not acceptable as a name.
        """
        if not isinstance(subject, str | None):
            raise IdentifierInvalidError("expected a subject as text, or None")
        return self._organizer.organize(self._principal, subject, purpose or self._purpose)

    def retrieve(
        self,
        query: str,
        *,
        k: int = 10,
        subject: str | Iterable[str] | None = None,
        purpose: Purpose | None = None,
        reveal: bool = False,
        verified: bool = False,
    ) -> Answer:
        """Find the memories that answer a question best, masked.

        Args:
            query: The question, in any words; it is screened, and logged as a keyed digest.
            k: How many, 1 to 200.
            subject: Only memories about these; None means whatever is within reach.
            purpose: Why it is read.
            reveal: Show originals where the reveal action is allowed for this purpose.
            verified: Leave out candidates and what is disputed: others take their places.

        Raises:
            DeniedError: nothing may be searched, or revealed, for this purpose; the denial is logged.
            InputInvalidError: the query is empty or too long, or `k` out of range.
        """
        question = Question(
            query, k, purpose or self._purpose, _names(subject), reveal, self._emergency, verified
        )
        return self._read.retrieve(self._principal, question)

    def context(
        self,
        query: str,
        *,
        tokens: int = 2_000,
        k: int = 8,
        window: str = "",
        subject: str | Iterable[str] | None = None,
        purpose: Purpose | None = None,
        count: CountTokens = estimated_tokens,
    ) -> Context:
        """Return memories for a model's prompt, in an order that changes little from question to question.

        Put the block before what changes with each question, so that a provider's prompt cache hits.

        Args:
            query: The question; screened, searched and logged as by `retrieve`.
            tokens: Budget of the whole block.
            k: How many memories the question may bring into it, 1 to 200.
            window: Name of the conversation; each keeps an order of its own.
            subject: Only memories about these are looked for; what the window holds stays.
            purpose: Why it is read.
            count: Counts the tokens of a text; the default errs on the side of too many.

        Raises:
            InputInvalidError: the budget or the window's name is out of range; or as for `retrieve`.
            DeniedError: nothing may be searched for this purpose; the denial is logged.
        """
        question = Question(query, k, purpose or self._purpose, _names(subject), emergency=self._emergency)
        return self._context.compose(self._principal, ContextQuestion(question, tokens, window, count))

    def get(self, memory_id: str, *, purpose: Purpose | None = None) -> Memory:
        """Return one memory, masked.

        Raises:
            NotFoundError: there is none of this id within reach; the entry says so.
            DeniedError: no memory may be read for this purpose.
        """
        return self._read.get(self._call(Action.READ, purpose), memory_id)

    def reveal(self, memory_id: str, *, purpose: Purpose | None = None) -> Memory:
        """Return one memory with the originals of its tokens.

        Raises:
            NotFoundError: there is none of this id within reach; the entry says so.
            DeniedError: nothing may be revealed for this purpose.
        """
        return self._read.get(self._call(Action.REVEAL, purpose), memory_id)

    def update(
        self,
        memory_id: str,
        text: str,
        *,
        expected_version: int | None = None,
        purpose: Purpose | None = None,
    ) -> Receipt:
        """Write a new version of a memory's text; the older ones stay as they were.

        Tokens of the present version that still stand in `text` keep their originals.

        Raises:
            NotFoundError: there is none of this id within reach.
            ConflictError: its version is not the expected one any more.
            DeniedError, InputInvalidError, ScreeningRefusedError: as for `extract`.
        """
        change = Change(memory_id, text, expected_version, purpose or self._purpose)
        return self._update.update(self._principal, change)

    def promote(
        self,
        memory_id: str,
        to: AccessTier,
        *,
        expected_version: int | None = None,
        purpose: Purpose | None = None,
    ) -> Receipt:
        """Open a memory to the next wider access tier, as its next version, after a look at its content.

        Raises:
            NotFoundError: there is none of this id in the tier below and within reach.
            ScreeningRefusedError: it would be public, and personal data stands readable in it.
            DeniedError, ConflictError, InputInvalidError: as for `update`.
        """
        promotion = Promotion(memory_id, to, expected_version, purpose or self._purpose)
        return self._promotions.promote(self._principal, promotion)

    @property
    def feedback(self) -> FeedbackView:
        """Verdicts on memories: `confirm`, `correct`, `retract`, `rate`."""
        return FeedbackView(lambda: self._paths.now().feedback, self._call)

    def may(self, action: Action, resource: Resource, purpose: Purpose | None = None) -> bool:
        """Say whether the rules allow an action on the principal's own tenant; not an access, not logged."""
        return self._audit.may(self._principal, action, resource, purpose or self._purpose)

    def _call(self, action: Action, purpose: Purpose | None) -> Call:
        return Call(self._principal, action, purpose or self._purpose, self._emergency)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every memory has its dense vector; words find it before."""
        return self._vault.wait(timeout)

    def close(self) -> None:
        """Close the vault if this facade opened it."""
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _source(given: object) -> Source:
    if isinstance(given, Chat | Document):
        return given
    if isinstance(given, str):
        return Document(text=given)
    turns = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(turn, Turn) for turn in turns):
        raise InputInvalidError("expected a chat, a document, turns or text")
    return Chat(turns=turns)


def _names(subject: object) -> tuple[str, ...]:
    if subject is None:
        return ()
    if not isinstance(subject, Iterable):
        raise IdentifierInvalidError("expected subjects as text, or None")
    names = (subject,) if isinstance(subject, str) else tuple(islice(subject, MAX_SUBJECTS + 1))
    # Threat: a list of subjects that came out empty must not read as "all that is within reach".
    if not 1 <= len(names) <= MAX_SUBJECTS:
        raise IdentifierInvalidError(f"expected 1 to {MAX_SUBJECTS} subjects, or None")
    if not all(isinstance(name, str) for name in names):
        raise IdentifierInvalidError("expected subjects as text, or None")
    return names
