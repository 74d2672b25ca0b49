"""Values that one issuer alone makes, such as a decision: the ways around their constructor, closed.

Owns the refusals that Python leaves open to whoever does not mean them: a subclass that skips the check,
a pickle or a copy that fills the fields without it. Whoever names the issuer, or writes fields with
`object.__setattr__`, does so knowingly; tests see that no module but the issuer's names it. What the check
itself is stays with the class.
"""

from typing import Final, NoReturn, TypeVar

_T = TypeVar("_T", bound=type)

_WAYS_AROUND: Final = (
    "__reduce_ex__",
    "__reduce__",
    "__getstate__",
    "__setstate__",
    "__copy__",
    "__deepcopy__",
)


def issued(cls: _T) -> _T:
    """Make a class final, and its values such as cannot be pickled or copied; stands above `dataclass`.

    Threat: `dataclass` gives a frozen class with slots a `__setstate__` that writes any fields and checks
    nothing; a base class could not take it away again.
    """

    def refuse(*_given: object, **_named: object) -> NoReturn:
        raise TypeError(
            f"expected {cls.__name__} to be made by its issuer alone: no subclass, pickle or copy"
        )

    for name in _WAYS_AROUND:
        setattr(cls, name, refuse)
    setattr(cls, "__init_subclass__", classmethod(refuse))  # noqa: B010  # a plain assignment is no method to mypy
    return cls
