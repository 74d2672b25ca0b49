"""Views of the policies in force and of what is pinned."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.bundles.pins import Pin
from vault.bundles.reloading import Reloaded


class PolicyReloadView(View):
    """What came of a reload."""

    changed: Annotated[bool, Field(description="whether another bundle is in force")]
    before: Annotated[str, Field(description="digest of the bundle that was in force")]
    digest: Annotated[str, Field(description="digest of the bundle that is in force")]
    name: str | None
    version: int | None

    @classmethod
    def of(cls, done: Reloaded) -> Self:
        """Show a reload."""
        return cls(
            changed=done.changed, before=done.before, digest=done.digest, name=done.name, version=done.version
        )


class PinView(View):
    """The least that a bundle has to be."""

    number: Annotated[int, Field(description="which pin of the vault it is, from 1")]
    name: str
    version: int
    digest: str

    @classmethod
    def of(cls, pin: Pin) -> Self:
        """Show a pin."""
        return cls(number=pin.number, name=pin.name, version=pin.version, digest=pin.digest)


class PinnedView(View):
    """Whether anything is pinned."""

    pin: PinView | None


class SignatureView(View):
    """A signed bundle."""

    name: str
    version: int
    digest: str
    signed_by: list[str]
