"""The HTTP application: routes, the way in, and problems for every error.

Owns the assembly of the parts of HTTP over one open vault. It leaves the vault to whoever opened it, the
socket to `api.serving`, and decisions to the rooms below: nothing here decides or stores.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.answers import problem_response
from api.auth import Argon2Cost, Authenticator
from api.errors import (
    ArgumentInvalidError,
    EdgeError,
    FieldFault,
    MethodUnsupportedError,
    RequestUnreadableError,
    RouteUnknownError,
)
from api.middleware import OPENAPI_PATH, BodyLimits, Entrance
from api.problems import EXPECTED, outline
from api.routes import audit_query, audit_stream, health, log, memories, policy, tiers, tlog
from api.routes.audit_lookup import router as lookup_router
from api.routes.finality import router as finality_router
from api.schemas import bodies
from api.schemas.log_views import LookupBody
from api.schemas.problems import ProblemView
from api.settings import Settings
from vault.clock import Entropy, monotonic, system_entropy
from vault.credentials import Credentials
from vault.opening import Vault

MAX_FAULTS: Final = 20
_LOGGER: Final = logging.getLogger(__name__)
# Threat: FastAPI records bodies, arguments and exception messages for OpenTelemetry, and one variable of
# the environment makes it send them away. Whatever a deployment sets, content does not leave by that way.
_NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


@dataclass(frozen=True, slots=True)
class AppOptions:
    """What may differ between two applications over one vault."""

    entropy: Entropy = system_entropy
    key_cost: Argon2Cost | None = None


def create_app(vault: Vault, settings: Settings, options: AppOptions | None = None) -> FastAPI:
    """Return the application over an open vault, which stays its opener's to close."""
    chosen = options or AppOptions()
    app = FastAPI(
        title="memos-vault",
        version=_version(),
        summary="A memory vault for language-model agents: screened, sealed, logged, provable.",
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header that the client chose
        telemetry=_NO_TELEMETRY,
    )
    app.state.vault = vault
    for router in (
        memories.router,
        tiers.router,
        log.router,
        audit_query.router,
        audit_stream.router,
        tlog.router,
        health.router,
        policy.router,
    ):
        app.include_router(router)
    app.include_router(lookup_router)
    app.include_router(finality_router)
    for kind in EXPECTED:
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(RequestValidationError, _answer_fields)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_defect)
    authenticator = Authenticator(
        Credentials(vault.lasting),
        chosen.entropy,
        monotonic,
        remembered_seconds=settings.login_seconds,
        remembered_keys=settings.login_keys,
        failures=settings.login_failures,
        cost=chosen.key_cost,
    )
    app.add_middleware(
        Entrance,
        authenticator=authenticator,
        limits=BodyLimits(settings.request_bytes, settings.request_seconds),
        entropy=chosen.entropy,
        requests=settings.requests,
    )
    _describe(app)
    return app


def _version() -> str:
    try:
        return version("memos-vault")
    except PackageNotFoundError:
        return "0"


async def _answer(request: Request, error: Exception) -> Response:
    return problem_response(error, request.state.request_id)


async def _answer_fields(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    faults = tuple(FieldFault(_place(one["loc"]), _reason(one)) for one in found[:MAX_FAULTS])
    return problem_response(ArgumentInvalidError(faults), request.state.request_id)


async def _answer_http(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses, in our own shape."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    known: dict[int, EdgeError] = {
        400: RequestUnreadableError("expected a request that can be read"),
        404: RouteUnknownError("there is nothing at this path"),
        405: MethodUnsupportedError("this path is not served with this method"),
    }
    return problem_response(
        known.get(status, EdgeError("the request was refused")), request.state.request_id, headers
    )


async def _answer_defect(request: Request, error: Exception) -> Response:
    request_id = request.scope.get("state", {}).get("request_id", "")
    _LOGGER.error("defect in request %s\n%s", request_id, outline(error))
    return problem_response(error, request_id)


def _models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield kind
    for field in kind.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            for inner in (part, *get_args(part)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from _models(inner)


_ROOTS: Final = (
    bodies.ExtractBody,
    bodies.RetrieveBody,
    bodies.UpdateBody,
    bodies.RevealBody,
    bodies.OrganizeBody,
    LookupBody,
)
_NAMES: Final = frozenset(
    {
        "body",
        "query",
        "path",
        "header",
        "start",
        "after",
        "format",
        "limit",
        "memory_id",
        "Memvault-Purpose",
        "q",
        "size",
        "cursor",
        "order",
        "unit",
    }
    | {name for root in _ROOTS for model in _models(root) for name in model.model_fields}
)
"""Names that may be told back; any other key in a body is the caller's own, and could be content."""


def _place(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part) if isinstance(part, int) or part in _NAMES else "*" for part in path)


def _reason(fault: dict[str, Any]) -> str:
    """Return why a field was refused: the validator's words, which name types and bounds, not values."""
    return "unknown field" if fault["type"] == "extra_forbidden" else str(fault["msg"])


def _describe(app: FastAPI) -> None:
    """Add the shape of problems, which no route returns by itself, to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        if ProblemView.__name__ not in schemas:
            shape = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(shape.pop("$defs", {}))
            schemas[ProblemView.__name__] = shape
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it
