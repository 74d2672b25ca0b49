"""Settings: the one place that reads the environment.

Owns every variable that begins with `MEMVAULT_`, or with `MEMWITNESS_` for a standalone witness, its form, bounds and default. A variable that is not
known, or not of its form, stops the program with an error that names it: a typing error in a setting
must not fall back to a default in silence. It leaves what settings are used for to `api.assembly`.

    MEMVAULT_VAULT=/srv/vault MEMVAULT_PASSPHRASE_FILE=/run/secrets/memvault memvault serve

Secrets are never settings themselves: only the paths of files that hold them are.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from api.errors import SettingsInvalidError
from policies.errors import RequestInvalidError
from policies.model import check_id
from vault.pipeline.limits import InputLimits

PREFIX: Final = "MEMVAULT_"
LIMIT_PREFIX: Final = "MEMVAULT_LIMIT_"
_MAX_LIMIT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; each field is `MEMVAULT_` and its name in capitals."""

    vault: Path | None = None
    """Directory of the vault; `vault` in the user's data directory if not set."""
    passphrase_file: Path | None = None
    """File with the passphrase of the root key, readable by its owner alone; none if not set."""
    tenant: str | None = None
    """Tenant of the command line's caller; the vault's only tenant if not set."""
    host: str = "127.0.0.1"
    """Address that `memvault serve` binds."""
    port: int = 8750
    """TCP port that it binds; 0 takes a free one."""
    behind_proxy: bool = False
    """A proxy of yours ends TLS before the server: allows an address beyond loopback."""
    tls_certificate_file: Path | None = None
    """PEM file of the server's certificate chain; with the key file, the server speaks TLS itself."""
    tls_key_file: Path | None = None
    """PEM file of the certificate's private key."""
    request_bytes: int = 8_388_608
    """Bytes of a request's body."""
    request_seconds: int = 30
    """Seconds in which a request's body has to arrive."""
    requests: int = 256
    """Requests at one time; more are answered 503."""
    login_seconds: int = 60
    """Seconds for which a verified API key is not verified again."""
    login_keys: int = 1_024
    """Verified API keys remembered at one time."""
    login_failures: int = 10
    """Wrong API keys from one address in a minute, before it has to wait."""
    embedding_threads: int = 1
    """Threads that make dense vectors in the background."""
    policy_folder: Path | None = None
    """Folder of the policy bundle; the one that ships with the program if not set."""
    policy_keys: Path | None = None
    """File of verifier keys, one of which has to have signed the policy bundle; nobody has to if not set."""
    policy_candidate_folder: Path | None = None
    """Folder of a bundle on trial: the log says where it would have decided otherwise; none if not set."""
    anchor_file: Path | None = None
    """Append-only file in which every signed checkpoint also stands; on another volume or it shows little."""
    witness_urls: Mapping[str, str] = field(default_factory=dict)
    """Where the witnesses of the policy are reached: `name=https://host:port`, separated by spaces."""
    witness_authorities_file: Path | None = None
    """PEM file of the authorities of the witnesses' certificates; the system's if not set."""
    witness_seconds: int = 5
    """Longest time of one request to a witness."""
    timestamp_url: str | None = None
    """RFC 3161 authority that stamps the system log's checkpoints; needs the extra `timestamps` and an anchor."""
    timestamp_roots_file: Path | None = None
    """PEM file of the certificates that are trusted for it."""
    timestamp_seconds: int = 3_600
    """Seconds between two time stamps."""
    transit_url: str | None = None
    """Server of the transit key that is the root, of https; with the key and the credential's file."""
    transit_key: str | None = None
    """Name of the transit key."""
    transit_mount: str = "transit"
    """Where the transit engine is mounted."""
    transit_namespace: str | None = None
    """Namespace of engine and login."""
    transit_auth: str = "token"
    """How to log in: `token`, `approle` or `kubernetes`."""
    transit_auth_mount: str | None = None
    """Where the login is mounted; its kind if not set."""
    transit_role: str | None = None
    """Role id of the AppRole, or the Kubernetes role."""
    transit_credential_file: Path | None = None
    """File with the token, the secret id or the service account's JWT; read anew at each login."""
    transit_ca_file: Path | None = None
    """PEM file of the authorities of the server's certificate; the system's if not set."""
    transit_certificate_file: Path | None = None
    """PEM file of a client certificate, with its key file."""
    transit_certificate_key_file: Path | None = None
    """PEM file of the client certificate's key."""
    transit_seconds: int = 5
    """Longest time of one call to the server, repetitions included."""
    backup_horizon_days: int | None = None
    """Days for which you keep backups of the vault: certificates of erasure name it; unknown if not set."""
    timetable: bool = True
    """Whether `memvault serve` runs the jobs of the timetable when they are due."""
    workers: int = 1
    """Threads of `memvault serve` that do what was put off, such as organizing; 0: `memvault queue run` does it."""
    jobs: Mapping[str, str] = field(default_factory=dict)
    """When jobs run: `name=term`, separated by `;`: `expiry=6h; anchor=off; consistency=23 3 * * sun`."""
    snapshot_folder: Path | None = None
    """Directory in which the job `snapshot` makes snapshots, outside the vault's own; none are made if not set."""
    snapshots_kept: int = 7
    """How many of the newest snapshots there stay."""
    notice_folder: Path | None = None
    """Directory in which each emergency leaves a notice to the officers; they look at the register alone if not set."""
    limits: InputLimits = field(default_factory=InputLimits)
    """Input limits: `MEMVAULT_LIMIT_` and the name of the limit."""


def _text(written: str) -> str:
    if not written or not written.isprintable():
        raise ValueError("printable text")
    return written


def _path(written: str) -> Path:
    if not written or "\0" in written:
        raise ValueError("a path")
    return Path(written)


def _tenant(written: str) -> str:
    try:
        return check_id("tenant", written)
    except RequestInvalidError as error:
        raise ValueError("a tenant id") from error


def _switch(written: str) -> bool:
    if written not in {"true", "false"}:
        raise ValueError("true or false")
    return written == "true"


def _login(written: str) -> str:
    if written not in {"token", "approle", "kubernetes"}:
        raise ValueError("token, approle or kubernetes")
    return written


def _urls(written: str) -> Mapping[str, str]:
    pairs = [one.partition("=") for one in written.split()]
    if not pairs or not all(name and sign and url for name, sign, url in pairs):
        raise ValueError("name=URL, separated by spaces")
    found = {name: url for name, _, url in pairs}
    if len(found) != len(pairs):
        raise ValueError("each witness once")
    return found


def _jobs(written: str) -> Mapping[str, str]:
    pairs = [one.partition("=") for one in written.split(";") if one.strip()]
    if not pairs or not all(name.strip() and sign and term.strip() for name, sign, term in pairs):
        raise ValueError("name=term, separated by semicolons")
    found = {name.strip(): term.strip() for name, _, term in pairs}
    if len(found) != len(pairs):
        raise ValueError("each job once")
    return found


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(written: str) -> int:
        if not (written.isascii() and written.isdigit() and len(written) <= len(str(high))):
            raise ValueError(f"a whole number from {low} to {high}")
        if not low <= int(written) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(written)

    return parse


_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "vault": _path,
    "passphrase_file": _path,
    "tenant": _tenant,
    "host": _text,
    "port": _whole(0, 65_535),
    "behind_proxy": _switch,
    "tls_certificate_file": _path,
    "tls_key_file": _path,
    "request_bytes": _whole(1_024, 1 << 30),
    "request_seconds": _whole(1, 3_600),
    "requests": _whole(1, 100_000),
    "login_seconds": _whole(0, 3_600),
    "login_keys": _whole(1, 1_000_000),
    "login_failures": _whole(1, 10_000),
    "embedding_threads": _whole(1, 64),
    "policy_folder": _path,
    "policy_keys": _path,
    "policy_candidate_folder": _path,
    "anchor_file": _path,
    "witness_urls": _urls,
    "witness_authorities_file": _path,
    "witness_seconds": _whole(1, 60),
    "timestamp_url": _text,
    "timestamp_roots_file": _path,
    "timestamp_seconds": _whole(60, 31_536_000),
    "snapshot_folder": _path,
    "snapshots_kept": _whole(1, 100_000),
    "notice_folder": _path,
    "transit_url": _text,
    "transit_key": _text,
    "transit_mount": _text,
    "transit_namespace": _text,
    "transit_auth": _login,
    "transit_auth_mount": _text,
    "transit_role": _text,
    "transit_credential_file": _path,
    "transit_ca_file": _path,
    "transit_certificate_file": _path,
    "transit_certificate_key_file": _path,
    "transit_seconds": _whole(1, 60),
    "timetable": _switch,
    "workers": _whole(0, 16),
    "jobs": _jobs,
    "backup_horizon_days": _whole(0, 36_500),
}

_TRANSIT: Final = frozenset(("transit_url", "transit_key", "transit_credential_file"))

WITNESS_PREFIX: Final = "MEMWITNESS_"


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """All settings of a standalone witness; each field is `MEMWITNESS_` and its name in capitals."""

    directory: Path | None = None
    """Directory of the witness's key, state and list of trusted logs; `--directory` says it where this is not set."""
    host: str = "127.0.0.1"
    """Address that `memvault witness serve` binds."""
    port: int = 8760
    """TCP port that it binds; 0 takes a free one."""
    behind_proxy: bool = False
    """A proxy of yours ends TLS before the witness: allows an address beyond loopback."""
    tls_certificate_file: Path | None = None
    """PEM file of the witness's certificate chain; with the key file, it speaks TLS itself."""
    tls_key_file: Path | None = None
    """PEM file of the certificate's private key."""
    request_seconds: int = 10
    """Seconds in which a submission has to arrive."""
    requests: int = 64
    """Submissions at one time; more are answered 503."""


_WITNESS_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "directory": _path,
    "host": _text,
    "port": _whole(0, 65_535),
    "behind_proxy": _switch,
    "tls_certificate_file": _path,
    "tls_key_file": _path,
    "request_seconds": _whole(1, 600),
    "requests": _whole(1, 10_000),
}


def witness_variables() -> dict[str, str]:
    """Return the name of every variable of a witness with its default as it would be written."""
    return {WITNESS_PREFIX + one.name.upper(): _written(one.default) for one in fields(WitnessSettings)}


def read_witness_settings(environment: Mapping[str, str] | None = None) -> WitnessSettings:
    """Read the settings of a witness.

    Args:
        environment: Variables by name; None is the process's.

    Raises:
        SettingsInvalidError: names every variable that is unknown or malformed, and no value.
    """
    given = os.environ if environment is None else environment
    own = {name: value for name, value in given.items() if name.startswith(WITNESS_PREFIX)}
    faults: list[str] = []
    values = _read(own, WITNESS_PREFIX, _WITNESS_PARSERS, faults)
    known = witness_variables()
    faults += [f"{name}: there is no such setting" for name in own if name not in known]
    if ("tls_certificate_file" in values) != ("tls_key_file" in values):
        faults.append("MEMWITNESS_TLS_CERTIFICATE_FILE and MEMWITNESS_TLS_KEY_FILE: expected both or none")
    if faults:
        raise SettingsInvalidError("; ".join(sorted(faults)))
    return WitnessSettings(**values)  # type: ignore[arg-type]  # by name, each parsed to its type


def variables() -> dict[str, str]:
    """Return the name of every variable with its default as it would be written; empty where there is none."""
    own = {PREFIX + one.name.upper(): one.default for one in fields(Settings) if one.name in _PARSERS}
    bounds = {LIMIT_PREFIX + one.name.upper(): one.default for one in fields(InputLimits)}
    return {name: _written(default) for name, default in (own | bounds).items()}


def _written(default: object) -> str:
    return str(default).lower() if isinstance(default, str | int) else ""


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        environment: Variables by name; None is the process's.

    Raises:
        SettingsInvalidError: names every variable that is unknown or malformed, and no value.
    """
    given = os.environ if environment is None else environment
    own = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    faults: list[str] = []
    limits = _read(
        own, LIMIT_PREFIX, {one.name: _whole(1, _MAX_LIMIT) for one in fields(InputLimits)}, faults
    )
    values = _read(own, PREFIX, _PARSERS, faults)
    known = variables()
    faults += [f"{name}: there is no such setting" for name in own if name not in known]
    if ("tls_certificate_file" in values) != ("tls_key_file" in values):
        faults.append("MEMVAULT_TLS_CERTIFICATE_FILE and MEMVAULT_TLS_KEY_FILE: expected both or none")
    given_of_transit = {name for name in values if name.startswith("transit_")}
    if given_of_transit and not given_of_transit >= _TRANSIT:
        faults.append("MEMVAULT_TRANSIT_URL, _KEY and _CREDENTIAL_FILE: expected all, or nothing of transit")
    if faults:
        raise SettingsInvalidError("; ".join(sorted(faults)))
    return Settings(**values, limits=InputLimits(**limits))  # type: ignore[arg-type]  # by name, each parsed to its type


def _read(
    given: Mapping[str, str], prefix: str, parsers: Mapping[str, Callable[[str], object]], faults: list[str]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, parse in parsers.items():
        written = given.get(prefix + name.upper())
        if written is None:
            continue
        try:
            values[name] = parse(written)
        except ValueError as error:
            faults.append(f"{prefix}{name.upper()}: expected {error}")
    return values
