"""Answers of the HTTP API: problems as RFC 9457 has them, and the header that carries a receipt."""

from typing import Final

from starlette.responses import Response

from api.errors import ArgumentInvalidError, AttemptsExceededError, NotAuthenticatedError
from api.problems import REQUEST_URN, detail_of, problem_of
from api.schemas.problems import FaultView, ProblemView
from api.schemas.views import ReceiptView
from audit.errors import QueryInvalidError

PROBLEM_MEDIA: Final = "application/problem+json"
RECEIPT_HEADER: Final = "Memvault-Receipt"


def problem_response(error: Exception, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that an error means."""
    problem = problem_of(type(error))
    faults = error.faults if isinstance(error, ArgumentInvalidError) else None
    view = ProblemView(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=detail_of(error),
        instance=REQUEST_URN + request_id,
        errors=None if faults is None else [FaultView(field=one.field, reason=one.reason) for one in faults],
        position=error.position if isinstance(error, QueryInvalidError) else None,
        expected=list(error.expected) or None if isinstance(error, QueryInvalidError) else None,
    )
    return Response(
        view.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA,
        headers={**(headers or {}), **_headers_of(error)},
    )


def _headers_of(error: Exception) -> dict[str, str]:
    if isinstance(error, NotAuthenticatedError):
        return {"WWW-Authenticate": 'Bearer realm="memvault"'}
    wait = (
        error.retry_after if isinstance(error, AttemptsExceededError) else problem_of(type(error)).retry_after
    )
    return {} if wait is None else {"Retry-After": str(wait)}


def receipt_header(receipt: ReceiptView) -> str:
    """Return a receipt as a structured field (RFC 9651): a dictionary of log, index and hash.

    `log="memos-vault/embedded/clinic", index=17, hash=:2s/mvk…:`
    """
    return f'log="{receipt.log}", index={receipt.leaf_index}, hash=:{receipt.leaf_hash}:'
