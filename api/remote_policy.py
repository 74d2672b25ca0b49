"""Telling a served vault to take the policies that lie in its folder now.

Owns the client of `POST /v1/policy/reload`. It leaves where and with which key to `api.remote_stream`. What the server
says of a refusal is shown with its place, and no more of it than one line.
"""

import json
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request

from pydantic import ValidationError

from api.errors import NotAuthenticatedError, NotReadyError
from api.remote_stream import Server, opener_of
from api.schemas.policy_view import PolicyReloadView
from policies.errors import DeniedError, PolicyRefusedError
from policies.model import Purpose

SECONDS: Final = 60.0
PATH: Final = "/v1/policy/reload"
_MAX_ANSWER: Final = 65_536
_REFUSED: Final = "urn:memvault:problem:policy-refused"


def reload_at(server: Server, purpose: Purpose) -> PolicyReloadView:
    """Have a served vault take its policies anew.

    Raises:
        NotReadyError: the server did not answer, or not as it should.
        NotAuthenticatedError: the key is not valid there.
        DeniedError: the key's principal may not run the vault.
        PolicyRefusedError: the vault did not take them; it says where, and those in force stay.
    """
    headers = {"Authorization": f"Bearer {server.key}", "Memvault-Purpose": purpose.value}
    # Its scheme was checked when the server was named.
    asked = Request(server.url + PATH, method="POST", headers=headers)  # noqa: S310
    try:
        with opener_of(server).open(asked, timeout=SECONDS) as answer:
            return PolicyReloadView.model_validate_json(answer.read(_MAX_ANSWER))
    except HTTPError as error:
        raise _refusal(error) from None
    except ValidationError:
        raise NotReadyError("the server did not answer as a vault does") from None
    except (OSError, HTTPException) as error:
        raise NotReadyError(f"the server did not answer: {type(error).__name__}") from None


def _refusal(error: HTTPError) -> Exception:
    with error:
        try:
            problem = json.loads(error.read(_MAX_ANSWER))
        except (OSError, HTTPException, ValueError):
            problem = None
    told = problem if isinstance(problem, dict) else {}
    if told.get("type") == _REFUSED:
        return PolicyRefusedError(str(told.get("detail", "")).partition("\n")[0])
    known: dict[int, Exception] = {
        401: NotAuthenticatedError("the server does not know the API key"),
        403: DeniedError("the API key's principal may not run the vault"),
    }
    return known.get(error.code, NotReadyError(f"the server answered {error.code}"))
