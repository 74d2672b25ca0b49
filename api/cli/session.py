"""From options to an open vault and a caller's memory, for the commands that need one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from api.assembly import memory_of, open_vault
from api.cli.options import Caller
from api.settings import Settings, read_settings
from policies.errors import RequestInvalidError
from policies.model import Principal
from vault.memos import MemOS
from vault.opening import Vault


@dataclass(frozen=True, slots=True)
class Session:
    """An open vault, and who calls."""

    vault: Vault
    settings: Settings
    caller: Caller

    @property
    def principal(self) -> Principal:
        """The caller; at the vault's only tenant if none is named.

        Raises:
            RequestInvalidError: the vault has several tenants, and none was named; or an id is malformed.
        """
        return self.principal_at(self.tenant)

    @property
    def tenant(self) -> str:
        """The tenant that is named, or the vault's only one.

        Raises:
            RequestInvalidError: there are several.
        """
        named = self.caller.tenant or self.settings.tenant
        if named is not None:
            return named
        tenants = self.vault.parts.store.tenants()
        if len(tenants) != 1:
            raise RequestInvalidError(f"expected --tenant: this vault has {len(tenants)}")
        return tenants[0]

    @property
    def memory(self) -> MemOS:
        """The caller's view of the vault."""
        return memory_of(self.vault, self.principal, self.caller.purpose)

    def memory_under(self, emergency: str | None) -> MemOS:
        """Return the caller's view of the vault under an emergency of the caller's."""
        return memory_of(self.vault, self.principal, self.caller.purpose, emergency)

    def principal_at(self, tenant: str) -> Principal:
        """Return the caller at a tenant."""
        return Principal(self.caller.principal, tenant, self.caller.roles, self.caller.assurance)


def settings_for(vault: Path | None) -> Settings:
    """Return the settings, with the vault that the command line names.

    Raises:
        SettingsInvalidError: a variable is unknown or malformed.
    """
    settings = read_settings()
    return settings if vault is None else replace(settings, vault=vault)


@contextmanager
def session(vault: Path | None, caller: Caller) -> Iterator[Session]:
    """Open the vault for one command and close it afterwards.

    Raises:
        SettingsInvalidError: a variable is unknown or malformed.
        VaultError: the vault cannot be opened.
    """
    settings = settings_for(vault)
    with open_vault(settings) as opened:
        yield Session(opened, settings, caller)
