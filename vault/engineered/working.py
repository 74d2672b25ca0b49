"""The work of one step, in a thread of its own: what it raises ends the step, and nothing else.

Owns the thread, its time, and the fixed words for what went wrong. What an operator returns is read anew by its
contract; the message of an error that is not ours is dropped, for it may hold anything.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast
from weakref import WeakSet

from audit.canonical import JsonValue
from policies.errors import PolicyError
from vault.errors import (
    ContractError,
    InputInvalidError,
    LeaseLostError,
    NotFoundError,
    OverloadedError,
    ScreeningRefusedError,
    VaultError,
)
from vault.pipeline.contracts import AnyOperator, Contract, Scope, kept, validated

MAX_GIVEN_UP: Final = 16
"""Threads of steps whose time was over, and that still run."""
_GIVEN_UP: Final[WeakSet[threading.Thread]] = WeakSet()


@dataclass(slots=True)
class Ended:
    """What came of the work in the step's thread."""

    output: Contract | None = field(default=None, repr=False)
    kept: dict[str, JsonValue] = field(default_factory=dict)
    reason: str = ""
    """A fixed word; empty where it was done."""
    error: Exception | None = field(default=None, repr=False)
    """Ours alone."""


def work_in_time(operator: AnyOperator, scope: Scope, value: Contract, seconds: float) -> Ended | None:
    """Do a step; None where its time was over before.

    Raises:
        OverloadedError: too many threads that were given up still run.
    """
    if sum(thread.is_alive() for thread in list(_GIVEN_UP)) >= MAX_GIVEN_UP:
        raise OverloadedError("too many steps were given up and still run: restart the process")
    ended = Ended()
    thread = threading.Thread(
        target=_work, args=(operator, scope, value, ended), name=f"step {operator.reference}", daemon=True
    )
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _GIVEN_UP.add(thread)
        return None
    return ended


REFUSALS: Final = (PolicyError, ScreeningRefusedError, InputInvalidError, NotFoundError)


class RefusedError(ContractError):
    """A call that is not made, with the fixed word for it."""

    def __init__(self, word: str, message: str | None = None) -> None:
        super().__init__(message or f"the call is refused: {word}")
        self.word = word


def _work(operator: AnyOperator, scope: Scope, value: Contract, ended: Ended) -> None:
    """Do a step in its thread; whatever it raises ends the step, and nothing else."""
    try:
        _checked("before", lambda: operator.before(value))
        given = operator.run(scope, value)
        output = _output(operator, given)
        _checked("after", lambda: operator.after(value, output))
        ended.kept, ended.output = _kept(output), output
    except (VaultError, PolicyError) as error:
        ended.reason, ended.error = reason_of(error), error
    except BaseException:  # noqa: BLE001  # threat: its message may hold anything
        ended.reason = "raised"


def _checked(word: str, check: Callable[[], None]) -> None:
    try:
        check()
    except ContractError as error:
        raise RefusedError(f"{word}-not-met", str(error)) from None


def _output(operator: AnyOperator, given: object) -> Contract:
    """Return what an operator returned, read anew by its contract: it may have been made past its checks."""
    if type(given) is not operator.output:
        raise RefusedError("output-invalid", "expected an output of the operator's own type")
    contract = cast("type[Contract]", operator.output)
    try:
        read = validated(contract, {name: getattr(given, name) for name in contract.model_fields})
    except (ContractError, AttributeError, ValueError):
        raise RefusedError("output-invalid", "expected an output as its contract says") from None
    return read


def _kept(output: Contract) -> dict[str, JsonValue]:
    try:
        return kept(output)
    except ContractError as error:
        raise RefusedError("output-has-content", str(error)) from None


_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MAX_REASON: Final = 32


def reason_of(error: Exception) -> str:
    """Return the fixed word for an error of ours: its kind."""
    if isinstance(error, RefusedError):
        return error.word
    if isinstance(error, LeaseLostError):
        return "given-up"
    return _WORD.sub("-", type(error).__name__.removesuffix("Error")).lower()[:_MAX_REASON]
