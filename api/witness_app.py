"""A standalone witness over HTTP: add-checkpoint of C2SP tlog-witness, and nothing else.

Owns the one route, its bounds and its answers. It leaves the decision to `audit.witness`, remembering to
`audit.witness_store`, and the socket to `api.serving`. It imports nothing of a vault's storage or crypto:
a test sees to it. There is no authentication but the signature on the checkpoint, as the protocol says.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from anyio.to_thread import run_sync
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.problems import outline
from api.settings import WitnessSettings
from audit.errors import AuditError
from audit.witness import MAX_BODY_SIZE, TEXT_TYPE, Answer
from audit.witness_store import StandaloneWitness

ADD_CHECKPOINT: Final = "/add-checkpoint"
_NOTHING: Final = f"there is nothing here but POST {ADD_CHECKPOINT}\n"
_LOGGER: Final = logging.getLogger(__name__)


class _TooLargeError(Exception):
    """A body is beyond what a submission may be."""


def create_witness_app(witness: StandaloneWitness, settings: WitnessSettings) -> FastAPI:
    """Return the application of a witness."""
    app = FastAPI(
        title="memos-vault witness",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    busy = asyncio.Semaphore(settings.requests)

    @app.post(ADD_CHECKPOINT)
    async def add_checkpoint(request: Request) -> Response:
        """Judge a submission, and cosign what extends the tree that was seen."""
        if request.scope["path"] != ADD_CHECKPOINT:
            # Threat: a router's pattern ends with `$`, which a line break behind the path satisfies, too.
            raise HTTPException(404)
        try:
            async with asyncio.timeout(settings.request_seconds):
                body = await _body(request.stream())
        except ClientDisconnect:
            # Nobody hears it; what is not caught here would fill the log, an outline for each.
            return _response(Answer(400, "the submission ended early\n"))
        except TimeoutError:
            return _response(Answer(408, "the submission did not arrive in time\n"))
        except _TooLargeError:
            return _response(Answer(413, f"expected at most {MAX_BODY_SIZE} bytes\n"))
        # Only what came entire takes a place: bodies that drip take none from those that are there.
        if busy.locked():
            return _response(Answer(503, "too many submissions at one time\n"))
        async with busy:
            try:
                return _response(await run_sync(witness.answer, body))
            except AuditError as error:
                # What it has seen cannot be read or kept: nothing is cosigned (law 7).
                _LOGGER.error("no answer to a submission: %s\n%s", error, outline(error))  # noqa: TRY400  # outlined
                return _response(Answer(503, "the witness cannot remember now\n"))

    @app.exception_handler(HTTPException)
    async def nothing(_request: Request, error: HTTPException) -> Response:
        """Answer in text, as every other answer is, where there is nothing."""
        told = _response(Answer(error.status_code, _NOTHING))
        told.headers.update(error.headers or {})
        return told

    return app


async def _body(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_SIZE:
            raise _TooLargeError
    return bytes(body)


def _response(answer: Answer) -> Response:
    headers = {"Content-Type": answer.media_type or TEXT_TYPE, "Cache-Control": "no-store"}
    return Response(answer.body, status_code=answer.status, headers=headers)
