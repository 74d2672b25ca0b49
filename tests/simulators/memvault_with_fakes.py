"""The command `memvault` over fake models, for tests that need a process of its own: see `fakes`."""

from dataclasses import replace

from api import assembly
from api.cli.main import run
from api.settings import Settings
from tests.simulators.fakes import fake_options
from vault.clock import system_clock
from vault.opening import VaultOptions


def options(settings: Settings) -> VaultOptions:
    """Return options without models, with the settings' limits and policies."""
    fakes = fake_options(limits=settings.limits, clock=system_clock)
    return replace(fakes, bundle=assembly.bundle_of(settings), policies=assembly.policies_of(settings))


if __name__ == "__main__":
    assembly.vault_options = options
    run()
