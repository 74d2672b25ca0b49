"""Operators that behave badly, each in a way of its own, and one that behaves: for tests of the executor."""
# ruff: noqa: ARG002  # the form of an operator

import threading
from typing import Annotated

from policies.model import Action
from vault.errors import ContractError
from vault.operators.catalogue import Catalogue, built_in
from vault.pipeline.contracts import SHOWN, Contract, Kind, MemoryIds, Operator, Scope, Text, Word

SECRET = "Maria Keller has diabetes"


class Said(Contract):
    """A text."""

    text: Text


class Got(Contract):
    """Memories, and a text that is shown."""

    memories: MemoryIds
    shown: Annotated[str, Kind.TEXT, SHOWN] = ""


class Spoken(Contract):
    """A word."""

    word: Word


class _Writes(Operator[Said, Got]):
    version = 1
    actions = frozenset({Action.WRITE, Action.SEARCH})
    input, output = Said, Got


class Honest(_Writes):
    """Writes what it is given."""

    name = "honest"

    def run(self, scope: Scope, value: Said) -> Got:
        return Got(memories=scope.memory.extract(value.text, subject="anna").memory_ids, shown=value.text)


class Twice(_Writes):
    """Writes two things; and fails between them as long as `broken` is set."""

    name = "twice"
    broken = True

    def run(self, scope: Scope, value: Said) -> Got:
        first = scope.memory.extract(f"{value.text} one", subject="anna").memory_ids
        if self.broken:
            raise RuntimeError(SECRET)
        return Got(memories=(*first, *scope.memory.extract(f"{value.text} two", subject="anna").memory_ids))


class Raises(_Writes):
    """Raises an error whose message is content."""

    name = "raises"

    def run(self, scope: Scope, value: Said) -> Got:
        raise RuntimeError(SECRET)


class Hangs(_Writes):
    """Waits until it is let go, then writes: far too late."""

    name = "hangs"

    def __init__(self) -> None:
        self.let_go, self.refused, self.ended = threading.Event(), threading.Event(), threading.Event()

    def run(self, scope: Scope, value: Said) -> Got:
        self.let_go.wait(30)
        try:
            return Got(memories=scope.memory.extract(value.text, subject="anna").memory_ids)
        except Exception:
            self.refused.set()
            raise
        finally:
            self.ended.set()


class Junk(_Writes):
    """Returns what is no output."""

    name = "junk"

    def run(self, scope: Scope, value: Said) -> Got:
        return {"memories": [SECRET]}  # type: ignore[return-value]


class Unchecked(_Writes):
    """Returns an output that was made past its checks."""

    name = "unchecked"

    def run(self, scope: Scope, value: Said) -> Got:
        return Got.model_construct(memories=(SECRET,), shown="")


class Undeclared(Operator[Said, Got]):
    """Writes although it says that it only searches."""

    name, version = "undeclared", 1
    actions = frozenset({Action.SEARCH})
    input, output = Said, Got

    def run(self, scope: Scope, value: Said) -> Got:
        return Got(memories=scope.memory.extract(value.text).memory_ids)


class Picky(_Writes):
    """Has a pre- and a postcondition."""

    name = "picky"

    def before(self, value: Said) -> None:
        if value.text == "no":
            raise ContractError("expected another text")

    def run(self, scope: Scope, value: Said) -> Got:
        return Got(memories=(), shown=value.text)

    def after(self, value: Said, result: Got) -> None:
        if result.shown == "never":
            raise ContractError("expected another result")


class Destructive(Honest):
    """Says of itself that it cannot be taken back."""

    name = "destructive"
    destructive = True


def badly(*more: Operator[Said, Got]) -> Catalogue:
    """Return the built-in operators, and these."""
    behaving = [Honest(), Raises(), Junk(), Unchecked(), Undeclared(), Picky(), Destructive()]
    return built_in().also([*behaving, *more])
