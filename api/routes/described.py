"""What OpenAPI says of errors, for all routes alike."""

from typing import Any, Final

from api.answers import PROBLEM_MEDIA

_SCHEMA: Final = {PROBLEM_MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}

# FastAPI's own type of this argument has `Any` in it.
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": said, "content": _SCHEMA}
    for status, said in {
        400: "The body is not the JSON that it should be",
        401: "No valid API key was shown",
        403: "Not allowed for this role and purpose; the denial is in the log",
        404: "There is no such thing within the caller's reach",
        409: "The state does not allow the change",
        413: "The body or a field is beyond a limit",
        422: "A field, a text or the purpose is not as it must be",
        429: "Too many wrong keys: wait",
        503: "Busy or not ready: try again",
    }.items()
}
