"""Time stamps of a vault's log: asked now and then, kept in the anchor, waited for by nobody."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.anchor import FileAnchor
from audit.evidence import SYSTEM_LOG
from audit.note import parse_note
from audit.timestamp import is_installed, parse_roots, verify_time_stamp
from tests.simulators.clinic import OWNER, Clinic
from tests.simulators.time_authority import HAS_OPENSSL, TimeAuthority
from tests.simulators.witness_process import bundle_with, options_with
from vault.errors import InputInvalidError
from vault.opening import Vault
from vault.outside import Places
from vault.time_stamping import TimeStamper

pytestmark = pytest.mark.skipif(
    not (HAS_OPENSSL and is_installed()), reason="needs the openssl command and the extra timestamps"
)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimeAuthority]:
    made = TimeAuthority(tmp_path / "authority")
    yield made
    made.end()


@pytest.fixture
def anchor_file(tmp_path: Path) -> Path:
    path = tmp_path / "anchor"
    FileAnchor.create(path).close()
    return path


def stamper(clinic: Clinic) -> TimeStamper:
    found = clinic.vault.parts.assurance._stamper
    assert found is not None
    return found


def test_the_newest_checkpoint_is_stamped_once_and_kept_in_the_anchor(
    clinic: Clinic, authority: TimeAuthority, anchor_file: Path
) -> None:
    places = Places(
        anchor=anchor_file,
        time_stamp_url=authority.serve(),
        time_stamp_roots=authority.root,
        time_stamp_seconds=3_600,
    )
    clinic.reopen(options_with(bundle_with(), places))
    assert stamper(clinic).stamp().time is not None
    clinic.audit().checkpoint()
    clinic.vault.parts.assurance.publish()
    first = stamper(clinic).stamp()
    assert (first.reason, first.failures) == ("", 0)
    assert first.time is not None
    assert stamper(clinic).stamp() == first, "nothing new was signed"
    origin = clinic.vault.parts.origin(SYSTEM_LOG)
    clinic.vault.close()
    opened = FileAnchor(anchor_file)
    notes = {int(note.decode().split("\n")[1]): note for note in opened.notes(origin)}
    stamps = dict(opened.time_stamps(origin))
    opened.close()
    assert first.size in stamps
    for size, response in stamps.items():
        text = parse_note(notes[size]).text
        verify_time_stamp(response, text, parse_roots(authority.root.read_bytes()))
    clinic.reopen()


def test_an_authority_that_fails_stops_nothing_and_is_told(
    clinic: Clinic, authority: TimeAuthority, anchor_file: Path
) -> None:
    url = authority.serve()
    authority.broken = b"noise"
    places = Places(anchor=anchor_file, time_stamp_url=url, time_stamp_roots=authority.root)
    clinic.reopen(options_with(bundle_with(), places))
    clinic.mem(OWNER).extract("written all the same")
    found = stamper(clinic).stamp()
    assert found.time is None
    assert found.failures >= 1
    assert found.reason == "expected a time stamp in the form of RFC 3161"
    anchor_file.unlink()
    authority.broken = b""
    assert "the anchor is gone" in stamper(clinic).stamp().reason
    clinic.vault.close()


def test_the_thread_asks_by_itself_and_ends(
    clinic: Clinic, authority: TimeAuthority, anchor_file: Path
) -> None:
    places = Places(
        anchor=anchor_file,
        time_stamp_url=authority.serve(),
        time_stamp_roots=authority.root,
        time_stamp_seconds=0.2,
    )
    clinic.reopen(options_with(bundle_with(), places))
    until = time.monotonic() + 10
    while stamper(clinic).status.time is None and time.monotonic() < until:
        time.sleep(0.05)
    stands = clinic.vault.parts.assurance.status.time_stamps
    assert stands is not None
    assert stands.time is not None
    started = time.monotonic()
    clinic.vault.close()
    assert time.monotonic() - started < 2


def test_an_authority_that_answers_an_error_is_told(
    clinic: Clinic, authority: TimeAuthority, anchor_file: Path
) -> None:
    url = authority.serve()
    authority.status = 500
    places = Places(anchor=anchor_file, time_stamp_url=url, time_stamp_roots=authority.root)
    clinic.reopen(options_with(bundle_with(), places))
    assert stamper(clinic).stamp().reason == "answered 500"


def test_an_authority_that_is_not_there_is_told(
    clinic: Clinic, authority: TimeAuthority, anchor_file: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    places = Places(anchor=anchor_file, time_stamp_url=url, time_stamp_roots=authority.root)
    clinic.reopen(options_with(bundle_with(), places))
    assert stamper(clinic).stamp().reason == "connection refused"


def test_time_stamps_that_lack_something_stop_the_opening(
    clinic: Clinic, authority: TimeAuthority, anchor_file: Path, tmp_path: Path
) -> None:
    clinic.vault.close()
    url = "http://127.0.0.1:1"
    for places, reason in (
        (Places(time_stamp_url=url, time_stamp_roots=authority.root), "an anchor to keep them in"),
        (Places(time_stamp_url=url, anchor=anchor_file), "certificates to trust"),
        (
            Places(time_stamp_url=url, anchor=anchor_file, time_stamp_roots=tmp_path / "nowhere"),
            "cannot be read",
        ),
        (
            Places(time_stamp_url="ftp://x", anchor=anchor_file, time_stamp_roots=authority.root),
            "a URL of http or https",
        ),
    ):
        with pytest.raises(InputInvalidError, match=reason):
            Vault.open(clinic.path, options=options_with(bundle_with(), places))
    clinic.reopen()
