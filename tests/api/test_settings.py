"""Settings: strict, named, documented."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import SettingsInvalidError
from api.settings import (
    LIMIT_PREFIX,
    PREFIX,
    WITNESS_PREFIX,
    Settings,
    WitnessSettings,
    read_settings,
    read_witness_settings,
    variables,
    witness_variables,
)
from vault.pipeline.limits import InputLimits

REPOSITORY = Path(__file__).resolve().parents[2]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_variables_of_others_are_not_read() -> None:
    assert read_settings({"PATH": "/bin", "PORT": "1", "memvault_port": "2"}) == Settings()


def test_every_field_can_be_set() -> None:
    given_values = {
        "MEMVAULT_VAULT": "/srv/vault",
        "MEMVAULT_PASSPHRASE_FILE": "/run/secret",
        "MEMVAULT_TENANT": "clinic",
        "MEMVAULT_HOST": "::1",
        "MEMVAULT_PORT": "0",
        "MEMVAULT_BEHIND_PROXY": "true",
        "MEMVAULT_TLS_CERTIFICATE_FILE": "/c.pem",
        "MEMVAULT_TLS_KEY_FILE": "/k.pem",
        "MEMVAULT_REQUEST_BYTES": "2048",
        "MEMVAULT_REQUEST_SECONDS": "5",
        "MEMVAULT_REQUESTS": "7",
        "MEMVAULT_LOGIN_SECONDS": "0",
        "MEMVAULT_LOGIN_KEYS": "8",
        "MEMVAULT_LOGIN_FAILURES": "3",
        "MEMVAULT_EMBEDDING_THREADS": "2",
        "MEMVAULT_POLICY_FOLDER": "/policies",
        "MEMVAULT_POLICY_CANDIDATE_FOLDER": "/candidate",
        "MEMVAULT_POLICY_KEYS": "/keys",
        "MEMVAULT_ANCHOR_FILE": "/anchor",
        "MEMVAULT_WITNESS_URLS": "w1=http://127.0.0.1:1 w2=https://w2.example",
        "MEMVAULT_WITNESS_AUTHORITIES_FILE": "/ca.pem",
        "MEMVAULT_WITNESS_SECONDS": "2",
        "MEMVAULT_TIMESTAMP_URL": "http://tsa.example",
        "MEMVAULT_TIMESTAMP_ROOTS_FILE": "/tsa.pem",
        "MEMVAULT_TIMESTAMP_SECONDS": "60",
        "MEMVAULT_TRANSIT_URL": "https://bao.example",
        "MEMVAULT_TRANSIT_KEY": "memvault",
        "MEMVAULT_TRANSIT_MOUNT": "keys/transit",
        "MEMVAULT_TRANSIT_NAMESPACE": "team",
        "MEMVAULT_TRANSIT_AUTH": "approle",
        "MEMVAULT_TRANSIT_AUTH_MOUNT": "roles",
        "MEMVAULT_TRANSIT_ROLE": "role-1",
        "MEMVAULT_TRANSIT_CREDENTIAL_FILE": "/run/secret-id",
        "MEMVAULT_TRANSIT_CA_FILE": "/bao.pem",
        "MEMVAULT_TRANSIT_CERTIFICATE_FILE": "/client.pem",
        "MEMVAULT_TRANSIT_CERTIFICATE_KEY_FILE": "/client.key",
        "MEMVAULT_TRANSIT_SECONDS": "2",
        "MEMVAULT_SNAPSHOT_FOLDER": "/mnt/backup",
        "MEMVAULT_NOTICE_FOLDER": "/srv/notices",
        "MEMVAULT_SNAPSHOTS_KEPT": "30",
        "MEMVAULT_BACKUP_HORIZON_DAYS": "30",
        "MEMVAULT_TIMETABLE": "false",
        "MEMVAULT_WORKERS": "2",
        "MEMVAULT_JOBS": "rescan=6h; anchor = off ;consistency=23 3 * * sun",
        "MEMVAULT_LIMIT_TAGS": "9",
    }
    settings = read_settings(given_values)
    own = {PREFIX + one.name.upper() for one in fields(Settings) if one.name != "limits"}
    assert own == {name for name in given_values if not name.startswith(LIMIT_PREFIX)}
    assert settings.vault == Path("/srv/vault")
    assert settings.behind_proxy
    assert settings.limits == InputLimits(tags=9)
    assert all(getattr(settings, one.name) != getattr(Settings(), one.name) for one in fields(Settings)), (
        "each value above differs from its default"
    )


@pytest.mark.parametrize(
    "given",
    [{"TRANSIT_URL": "https://bao.example"}, {"TRANSIT_MOUNT": "transit"}, {"TRANSIT_AUTH": "ldap"}],
    ids=str,
)
def test_a_transit_key_is_named_whole_or_not_at_all(given: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalidError, match="MEMVAULT_TRANSIT"):
        read_settings({PREFIX + name: value for name, value in given.items()})


def test_every_input_limit_is_a_setting() -> None:
    named = {LIMIT_PREFIX + one.name.upper() for one in fields(InputLimits)}
    assert named <= set(variables())
    for name in named:
        changed = read_settings({name: "3"}).limits
        assert getattr(changed, name.removeprefix(LIMIT_PREFIX).lower()) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEMVAULT_PROT", "8750"),
        ("MEMVAULT_", "x"),
        ("MEMVAULT_LIMIT_TURN", "5"),
        ("MEMVAULT_LIMITS", "5"),
        ("MEMVAULT_TIMETABLE", "on"),
        ("MEMVAULT_JOBS", ""),
        ("MEMVAULT_JOBS", "rescan"),
        ("MEMVAULT_JOBS", "rescan="),
        ("MEMVAULT_JOBS", "rescan=6h;rescan=7h"),
        ("MEMVAULT_PORT", ""),
        ("MEMVAULT_PORT", "65536"),
        ("MEMVAULT_PORT", "-1"),
        ("MEMVAULT_PORT", "8750 "),
        ("MEMVAULT_PORT", "٨٧٥٠"),
        ("MEMVAULT_PORT", "1e3"),
        ("MEMVAULT_BEHIND_PROXY", "yes"),
        ("MEMVAULT_BEHIND_PROXY", "True"),
        ("MEMVAULT_TENANT", "Clinic A"),
        ("MEMVAULT_HOST", ""),
        ("MEMVAULT_HOST", "a\nb"),
        ("MEMVAULT_VAULT", ""),
        ("MEMVAULT_LIMIT_TAGS", "0"),
        ("MEMVAULT_LIMIT_TAGS", "99999999999"),
        ("MEMVAULT_TLS_KEY_FILE", "/k.pem"),
        ("MEMVAULT_WITNESS_URLS", ""),
        ("MEMVAULT_WITNESS_URLS", "https://w1.example"),
        ("MEMVAULT_WITNESS_URLS", "w1="),
        ("MEMVAULT_WITNESS_URLS", "w1=http://a w1=http://b"),
        ("MEMVAULT_WITNESS_SECONDS", "0"),
    ],
)
def test_what_is_unknown_or_malformed_stops_with_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalidError) as caught:
        read_settings({name: value})
    assert name in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsInvalidError, match=r"MEMVAULT_PORT.*; MEMVAULT_X"):
        read_settings({"MEMVAULT_PORT": "x", "MEMVAULT_X": "y"})


@given(st.text(max_size=40))
def test_an_error_never_repeats_a_value(value: str) -> None:
    secret = f"hunter2{value}hunter2"
    with pytest.raises(SettingsInvalidError) as caught:
        read_settings({"MEMVAULT_PORT": secret, "MEMVAULT_NO_SUCH": secret})
    assert "hunter2" not in str(caught.value)


def test_every_variable_is_documented_with_its_default() -> None:
    text = (REPOSITORY / "docs" / "cli.md").read_text("utf-8")
    for name, default in (variables() | witness_variables()).items():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{name}` |")), "")
        assert row, f"docs/cli.md has no row for {name}"
        assert f"| {f'`{default}`' if default else 'none'} |" in row, (
            f"docs/cli.md has another default for {name}"
        )


def test_every_setting_of_a_witness_can_be_set() -> None:
    given_values = {
        "MEMWITNESS_DIRECTORY": "/srv/witness",
        "MEMWITNESS_HOST": "::1",
        "MEMWITNESS_PORT": "0",
        "MEMWITNESS_BEHIND_PROXY": "true",
        "MEMWITNESS_TLS_CERTIFICATE_FILE": "/c.pem",
        "MEMWITNESS_TLS_KEY_FILE": "/k.pem",
        "MEMWITNESS_REQUEST_SECONDS": "5",
        "MEMWITNESS_REQUESTS": "7",
    }
    settings = read_witness_settings(given_values)
    assert {WITNESS_PREFIX + one.name.upper() for one in fields(WitnessSettings)} == set(given_values)
    assert all(
        getattr(settings, one.name) != getattr(WitnessSettings(), one.name) for one in fields(WitnessSettings)
    )
    assert read_witness_settings({"MEMVAULT_PORT": "x"}) == WitnessSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEMWITNESS_PROT", "1"), ("MEMWITNESS_PORT", "x"), ("MEMWITNESS_TLS_KEY_FILE", "/k.pem")],
)
def test_a_witness_stops_at_what_is_unknown_or_malformed(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalidError, match=name):
        read_witness_settings({name: value})
