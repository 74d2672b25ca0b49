"""Routes of the log's public form: C2SP tlog-tiles, for monitors that know that specification.

Owns content types and caching. The prefix of a tenant's log is `/v1/logs/{tenant}`; another tenant's is
not found, whether it exists or not.
"""

import gzip
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from api.routes.call import Call, CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from audit.tiles import MAX_PATH_LENGTH
from vault.errors import NotFoundError
from vault.log_tiles import CHECKPOINT

NOTE_TYPE: Final = "text/plain; charset=utf-8"
TILE_TYPE: Final = "application/octet-stream"
# A checkpoint is replaced every few seconds. A tile never changes, and a partial one neither; but only
# the caller's own cache may keep it: whoever shares one may not be allowed to read the log.
FRESH: Final = "private, no-cache"
FOR_EVER: Final = "private, max-age=31536000, immutable"

_MAX_TENANT: Final = 64
_BUNDLES: Final = "tile/entries/"

router = APIRouter(prefix="/v1/logs", tags=["audit"], responses=ANSWERS, route_class=ParsedRoute)

Tenant = Annotated[str, Path(max_length=_MAX_TENANT, description="the caller's own tenant")]


@router.get(
    "/{tenant}/checkpoint",
    operation_id="getLogCheckpoint",
    summary="The latest signed checkpoint, with cosignatures",
    response_class=Response,
    responses={200: {"description": "A signed note", "content": {"text/plain": {}}}},
)
def get_checkpoint(call: CallParameter, request: Request, tenant: Tenant) -> Response:
    """Return the latest checkpoint as a C2SP signed note. It is not signed anew for being asked for."""
    return _file(call, request, tenant, CHECKPOINT)


@router.get(
    "/{tenant}/tile/{address:path}",
    operation_id="getLogTile",
    summary="A tile of hashes, or a bundle of entries",
    response_class=Response,
    responses={200: {"description": "Hashes or framed entries", "content": {TILE_TYPE: {}}}},
)
def get_tile(
    call: CallParameter,
    request: Request,
    tenant: Tenant,
    address: Annotated[
        str,
        Path(max_length=MAX_PATH_LENGTH, description="`<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`"),
    ],
) -> Response:
    """Return what the latest checkpoint covers at this address; an entry bundle holds headers alone."""
    return _file(call, request, tenant, f"tile/{address}")


def _file(call: Call, request: Request, tenant: str, path: str) -> Response:
    purpose = call.one_purpose()
    # What lies here for ever lies at one spelling: not at one with escapes, nor with the newline at its end
    # that the router drops.
    spelt = request.scope["raw_path"] == f"{router.prefix}/{tenant}/{path}".encode()
    if tenant != call.principal.tenant or not spelt:
        raise NotFoundError("nothing of the log lies at this path")
    found = call.memory().log_file(path, purpose=purpose)
    headers = {"Cache-Control": FRESH if found.is_text else FOR_EVER}
    content = found.content
    if path.startswith(_BUNDLES):
        headers["Vary"] = "Accept-Encoding"
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            content = gzip.compress(content, mtime=0)
    return Response(content, media_type=NOTE_TYPE if found.is_text else TILE_TYPE, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """Say whether a client asked for gzip; the specification wants entry bundles compressed, hashes do not shrink."""
    codings = [part.replace(" ", "").lower().partition(";") for part in accepted.split(",")]
    return any(name == "gzip" and weight.rstrip("0") not in {"q=", "q=0."} for name, _, weight in codings)
