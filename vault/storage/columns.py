"""The column type that makes storing clear content a type error.

Threat: a write path that forgets to seal (ARCHITECTURE law 1). A content column takes a `Sealed` and
nothing else, also when rows are inserted without the object layer.
"""

from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from vault.crypto.sealed import Sealed


class SealedColumn(TypeDecorator[Sealed]):
    """Bytes in the database, `Sealed` in the program."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sealed | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Unwrap a sealed value for the driver.

        Raises:
            TypeError: the value is not sealed.
        """
        if value is None:
            return None
        if type(value) is not Sealed:
            raise TypeError(f"expected Sealed for a content column, got {type(value).__name__}")
        return value.data

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Sealed | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Wrap what the driver read; what is no bytes was put there by somebody else and will not open."""
        if value is None or isinstance(value, bytes):
            return None if value is None else Sealed(value)
        return Sealed(str(value).encode("utf-8", "replace"))
