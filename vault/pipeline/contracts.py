"""Contracts of operators: what goes in, what comes out, what must hold, and what of it may be kept.

    class Longest(Operator[Found, One]):
        name, version = "longest", 1
        actions = frozenset({Action.READ})
        input, output = Found, One

        def run(self, scope: Scope, value: Found) -> One: ...

An operator works through `Scope.memory`, the facade of the principal that calls: so authorisation, gate, seal and log
hold for it as for anybody. Whatever stands between steps is kept: ids, numbers and fixed words. What is content is
marked `SHOWN`, leaves with the answer and is kept nowhere.

Owns these forms and the check that a type keeps to them. Running is `vault.engineered.executor`'s. Pure.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.fields import FieldInfo

from audit.canonical import JsonValue
from audit.payload_keys import is_identifying
from policies.model import AccessTier, Action, Purpose
from vault.errors import ContractError
from vault.model import Answer, EdgeKind, Memory, Receipt, Source

if TYPE_CHECKING:
    from vault.context_path import Context
    from vault.engineered.screening import Screening
    from vault.feedback import Rating

MAX_TEXT: Final = 1_000_000
MAX_IDS: Final = 10_000


class Kind(StrEnum):
    """What a string is: two strings of different kinds do not fit each other."""

    MEMORY = "memory"
    """A memory's id."""
    EPISODE = "episode"
    DIGEST = "digest"
    WORD = "word"
    """A fixed word of the operator's own."""
    SUBJECT = "subject"
    """The caller's name of a person: content."""
    TEXT = "text"
    """Content."""


KEPT_KINDS: Final = frozenset({Kind.MEMORY, Kind.EPISODE, Kind.DIGEST, Kind.WORD})
"""Kinds that may stand in a run's state and in the log."""


class _Shown:
    """Marks a field of an output as content: it leaves with the answer, and is kept nowhere."""


SHOWN: Final = _Shown()

_BASE32: Final = "[0-9a-hjkmnp-tv-z]{26}"
MemoryId = Annotated[str, StringConstraints(pattern=f"^mem_{_BASE32}$"), Kind.MEMORY]
EpisodeId = Annotated[str, StringConstraints(pattern=f"^epi_{_BASE32}$"), Kind.EPISODE]
Digest = Annotated[str, StringConstraints(pattern="^sha256:[0-9a-f]{64}$"), Kind.DIGEST]
Word = Annotated[str, StringConstraints(pattern="^[a-z]+(-[a-z]+){0,4}$", max_length=32), Kind.WORD]
MemoryIds = Annotated[tuple[MemoryId, ...], Field(max_length=MAX_IDS)]
SubjectName = Annotated[str, StringConstraints(min_length=1, max_length=256), Kind.SUBJECT]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), Kind.TEXT]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Contract(BaseModel):
    """Base of every operator's input and output: closed and frozen; its errors repeat no value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


In = TypeVar("In", bound=Contract)
Out = TypeVar("Out", bound=Contract)


@dataclass(frozen=True, slots=True)
class Linked:
    """What organizing did, in numbers."""

    examined: int
    edges: int
    """New ones."""
    changed: int
    """Memories whose trust changed."""
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Judged:
    """What feedback on a memory came to."""

    disputed: tuple[str, ...]
    """Ids of memories that were derived from it, and are disputed since."""
    receipt: Receipt


class Memories(Protocol):
    """The part of the facade that an operator may call: masked, under the principal and purpose of the run."""

    def extract(
        self,
        source: Source | str,
        *,
        subject: str | None = None,
        access_tier: AccessTier = AccessTier.PRIVATE,
    ) -> Receipt:
        """As `vault.memos.MemOS.extract`."""
        ...

    def organize(self, *, subject: str | None = None) -> "Linked":
        """As `vault.memos.MemOS.organize`; returns what it did in numbers."""
        ...

    def retrieve(self, query: str, *, k: int = 10, subject: str | None = None) -> Answer:
        """As `vault.memos.MemOS.retrieve`."""
        ...

    def context(
        self, query: str, *, tokens: int = 2_000, k: int = 8, window: str = "", subject: str | None = None
    ) -> "Context":
        """As `vault.memos.MemOS.context`."""
        ...

    def get(self, memory_id: str) -> Memory:
        """As `vault.memos.MemOS.get`."""
        ...

    def update(self, memory_id: str, text: str, *, expected_version: int | None = None) -> Receipt:
        """As `vault.memos.MemOS.update`."""
        ...

    def promote(self, memory_id: str, to: AccessTier, *, expected_version: int | None = None) -> Receipt:
        """As `vault.memos.MemOS.promote`."""
        ...

    def link(self, source: str, kind: EdgeKind, targets: Sequence[str]) -> Receipt:
        """As `vault.engineered.view.PipelineView.link`."""
        ...

    def confirm(self, memory_id: str) -> Judged:
        """As `vault.memos.MemOS.feedback`."""
        ...

    def correct(self, memory_id: str, text: str, *, expected_version: int | None = None) -> Judged:
        """As `vault.memos.MemOS.feedback`."""
        ...

    def retract(self, memory_id: str) -> Judged:
        """As `vault.memos.MemOS.feedback`."""
        ...

    def rate(self, memory_id: str, rating: "Rating") -> Judged:
        """As `vault.memos.MemOS.feedback`."""
        ...

    def own(self, memory_ids: Sequence[str]) -> tuple[str, ...]:
        """As `vault.engineered.view.PipelineView.own`."""
        ...

    def screen(self, text: str) -> "Screening":
        """As `vault.engineered.view.PipelineView.screen`."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """What an operator gets to work with: nothing of storage, keys or the log."""

    memory: Memories
    purpose: Purpose
    clock: Callable[[], datetime]


class Operator(ABC, Generic[In, Out]):
    """One step's work. An instance holds no state: it may be run by several threads.

    Attributes:
        name: Lower-case words joined by `-`.
        version: Grows with every change of what it does: a pipeline names it.
        actions: What it does; the executor lets it do nothing else.
        destructive: Whether what it does cannot be taken back: it runs only where that was granted.
        stops: Whether it is there to stop a run that has not got what it needs: nobody has to use what it gives.
        input: Closed, frozen contract of what goes in.
        output: And of what comes out: ids, numbers and fixed words, and content only where it is marked `SHOWN`.
        about: One sentence for whoever chooses it, a model among them.
    """

    name: str
    version: int
    actions: frozenset[Action]
    destructive: bool = False
    stops: bool = False
    input: type[In]
    output: type[Out]
    about: str = ""

    def before(self, value: In) -> None:
        """Check what must hold before; the default asks for nothing beyond the types.

        Raises:
            ContractError: it does not hold.
        """

    @abstractmethod
    def run(self, scope: Scope, value: In) -> Out:
        """Do the step."""

    def after(self, value: In, result: Out) -> None:
        """Check what must hold afterwards; the default asks for nothing beyond the types.

        Raises:
            ContractError: it does not hold.
        """

    @property
    def reference(self) -> str:
        """How a pipeline and the log name it, e.g. `extract/1`."""
        return f"{self.name}/{self.version}"


AnyOperator = Operator[Any, Any]

EFFECTS: Final = frozenset(Action) - {Action.READ, Action.SEARCH, Action.REVEAL, Action.AUDIT}
"""Actions that change something: a step that asks for one is never done twice in one run."""


@dataclass(frozen=True, slots=True)
class Capability:
    """What a run may do at most, whatever the principal may.

    A pipeline's is what it declares.
    """

    operators: frozenset[str]
    """References, e.g. `extract/1`."""
    access_tiers: frozenset[AccessTier] = frozenset(AccessTier)
    """Where it may write; and of which it is shown memories."""
    destructive: bool = False
    """Whether destructive operators may run; who asks for a confirmation sets it for one call."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type as contracts compare it: a leaf with its kind, or a tuple of these; None means optional."""

    base: type
    kind: Kind | None = None
    many: bool = False
    optional: bool = False

    def __str__(self) -> str:
        """Return it as messages name it."""
        word = self.kind.value if self.kind is not None else _NAMES.get(self.base, self.base.__name__)
        return ("optional " if self.optional else "") + (f"list of {word}" if self.many else word)


_NAMES: Final[Mapping[type, str]] = {int: "integer", bool: "truth", str: "string", datetime: "time"}


def fits(given: Type, wanted: Type) -> bool:
    """Say whether every value of one type may stand where the other is wanted; bounds are checked at run time."""
    return (
        given.base is wanted.base
        and given.kind is wanted.kind
        and given.many is wanted.many
        and (wanted.optional or not given.optional)
    )


def type_of(field: FieldInfo) -> Type:
    """Return the type of a contract's field.

    Raises:
        ContractError: it is of a form that contracts do not compare: expected a leaf, a tuple of one, or None beside.
    """
    return _type(field.annotation, tuple(field.metadata))


def is_shown(field: FieldInfo) -> bool:
    """Say whether a field of an output is content."""
    return SHOWN in field.metadata


def _type(annotation: object, metadata: tuple[object, ...]) -> Type:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], (*metadata, *arguments[1:]))
    if origin in {Union, UnionType}:
        others = [one for one in arguments if one is not NoneType]
        if len(others) == 1:
            inner = _type(others[0], metadata)
            return Type(inner.base, inner.kind, inner.many, optional=True)
    elif origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004  # tuple[X, ...]
        inner = _type(arguments[0], ())
        if not inner.many and not inner.optional:
            return Type(inner.base, inner.kind, many=True)
    elif isinstance(annotation, type) and (annotation in _NAMES or issubclass(annotation, StrEnum)):
        kinds = [one for one in metadata if isinstance(one, Kind)]
        if (annotation is str) == (len(kinds) == 1) and len(kinds) <= 1:
            return Type(annotation, kinds[0] if kinds else None)
    raise ContractError("expected a field of a contract's types: see vault.pipeline.contracts")


def expect_contracts(operator: AnyOperator) -> None:
    """See that an operator's contracts are closed, comparable, and keep no content.

    Raises:
        ContractError: they are not; the message names the operator and the field.
    """
    for contract in (operator.input, operator.output):
        config = contract.model_config
        if not (config.get("frozen") and config.get("extra") == "forbid" and config.get("strict")):
            raise ContractError(
                f"{operator.reference}: expected contracts that are closed, strict and frozen"
            )
        for name, field in contract.model_fields.items():
            try:
                found = type_of(field)
            except ContractError as error:
                raise ContractError(f"{operator.reference}: {name}: {error}") from None
            kept = found.base not in {str, datetime} or found.kind in KEPT_KINDS
            if contract is operator.output and not (kept or is_shown(field)):
                raise ContractError(f"{operator.reference}: {name}: expected content to be marked as shown")


def kept(result: Contract) -> dict[str, JsonValue]:
    """Return what may be kept of an output: ids, numbers and fixed words.

    Raises:
        ContractError: something else stands there.
    """
    shown = {name for name, field in type(result).model_fields.items() if is_shown(field)}
    values: dict[str, JsonValue] = result.model_dump(mode="json", exclude=shown)
    if not all(is_identifying(value) for value in values.values()):
        raise ContractError("expected ids, numbers and fixed words in what is kept")
    return values


def validated(contract: type[Out], values: Mapping[str, object]) -> Out:
    """Read values by a contract, strictly, as JSON carries them.

    Raises:
        ContractError: they do not fit; the message names fields and what was wrong, never a value.
    """
    try:
        return contract.model_validate_json(_ANY.dump_json(dict(values)))
    except ValueError as error:
        raise ContractError(f"expected {contract.__name__}: {_wrong(contract, error)}") from None


_ANY: Final = TypeAdapter(dict[str, Any])
_MAX_WRONG: Final = 5


def _wrong(contract: type[BaseModel], error: ValueError) -> str:
    """Tell what was wrong by names of the contract's own: a key or a value that was sent may be anything."""
    told: list[str] = []
    for one in getattr(error, "errors", lambda **_: [])(include_url=False, include_input=False):
        place = next(iter(one["loc"]), "")
        told.append(f"{place if place in contract.model_fields else 'another field'}: {one['type']}")
    return "; ".join(dict.fromkeys(told[:_MAX_WRONG])) or "not of the form of JSON"
