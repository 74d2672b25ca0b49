"""What every route of `/v1` is given: who calls, why, and that caller's memory."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.answers import RECEIPT_HEADER, receipt_header
from api.assembly import memory_of
from api.errors import PurposeMissingError
from api.schemas.views import ReceiptView
from policies.model import Principal, Purpose
from vault.memos import MemOS
from vault.opening import Vault

# Described here for OpenAPI; `api.middleware` has verified the key before any route is called.
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="apiKey", bearerFormat="mv_…", description="An API key made by `memvault`."
)


PURPOSE_HEADER: Final = "Memvault-Purpose"


class _ParsedRequest(Request):
    """A request whose body `api.middleware` has parsed: nothing parses it again."""

    async def json(self) -> Any:  # noqa: ANN401  # the framework's signature
        return self.state.json


class ParsedRoute(APIRoute):
    """A route that takes the body as it was parsed on the way in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler, given the parsed body."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_ParsedRequest(request.scope, request.receive))

        return handle


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request."""

    vault: Vault
    principal: Principal
    purpose: Purpose | None
    """As the header says."""
    response: Response

    def memory(self, purpose: Purpose | None = None) -> MemOS:
        """Return the caller's memory for the one purpose that header or body say.

        Raises:
            PurposeMissingError: neither says one, or they say two.
        """
        return memory_of(self.vault, self.principal, self.one_purpose(purpose))

    def one_purpose(self, purpose: Purpose | None = None) -> Purpose:
        """Return the purpose of this call.

        Raises:
            PurposeMissingError: neither header nor body say one, or they say two.
        """
        said = {one for one in (self.purpose, purpose) if one is not None}
        if len(said) != 1:
            raise PurposeMissingError(
                "expected one purpose, in the Memvault-Purpose header or the body's field purpose"
            )
        return said.pop()

    @property
    def log(self) -> str:
        """Origin of the caller's log."""
        return self.vault.parts.origin(self.principal.tenant)

    def receipt(self, receipt: ReceiptView) -> None:
        """Put a receipt into the answer's header."""
        self.response.headers[RECEIPT_HEADER] = receipt_header(receipt)


def call_of(
    request: Request,
    response: Response,
    _key: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    purpose: Annotated[
        Purpose | None, Header(alias=PURPOSE_HEADER, description="Why; or say it in the body")
    ] = None,
) -> Call:
    """Return the request as the routes take it.

    Raises:
        PurposeMissingError: the header stands there more than once.
    """
    if len(request.headers.getlist(PURPOSE_HEADER)) > 1:
        raise PurposeMissingError(f"expected one {PURPOSE_HEADER} header")
    return Call(request.app.state.vault, request.state.principal, purpose, response)


CallParameter = Annotated[Call, Depends(call_of)]
