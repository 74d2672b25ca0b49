"""Whether the server lives, and whether it can serve; neither needs a key, and neither gives a figure."""

from typing import Literal

from fastapi import APIRouter, Request

from api.errors import NotReadyError
from api.routes.described import ANSWERS
from api.schemas.views import View
from vault.errors import VaultError
from vault.opening import Vault

router = APIRouter(tags=["health"], responses={503: ANSWERS[503]})


class LiveView(View):
    """The process answers."""

    status: Literal["alive"] = "alive"


class ReadyView(View):
    """Every part that a request needs answers."""

    status: Literal["ready"] = "ready"
    checks: dict[str, Literal["ok", "stale", "changed"]]
    """`index` is stale while it lacks a change: the next search builds it anew before it answers. `policy` is changed
    while other files lie in the policy folder than are in force: they are used after a reload."""


@router.get("/livez", operation_id="livez", summary="Does the process answer?")
async def livez() -> LiveView:
    """Say that the process answers, whatever its parts do."""
    return LiveView()


@router.get("/readyz", operation_id="readyz", summary="Do all parts answer?")
def readyz(request: Request) -> ReadyView:
    """Ping the store, the keys and the root, which may be on a server."""
    vault: Vault = request.app.state.vault
    try:
        tenants = vault.parts.store.tenants()
        for tenant in tenants[:1]:
            vault.parts.sealers.hasher(tenant)
        fault = vault.parts.sealers.root.health().fault
    except VaultError as error:
        raise NotReadyError(f"a part does not answer: {type(error).__name__}") from None
    if fault is not None:
        raise NotReadyError(f"a part does not answer: {type(fault).__name__}")
    stale = any(map(vault.parts.indexes.is_stale, tenants))
    return ReadyView(
        checks={
            "store": "ok",
            "keys": "ok",
            "root": "ok",
            "index": "stale" if stale else "ok",
            "policy": "changed" if vault.policy_differs else "ok",
        }
    )
