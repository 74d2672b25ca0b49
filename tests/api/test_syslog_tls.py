"""Syslog over TLS to a real receiver: verified always, and taken only when it was read."""

import socket
from pathlib import Path

import pytest

from api.errors import DeliveryFailedError, SettingsInvalidError
from api.syslog_tls import DEFAULT_PORT, Receiver, TlsSyslog
from tests.simulators.tls_receiver import Authority, Manner, TlsReceiver

FRAME = b"5 hello"
MANY = FRAME * 40_000


def sender(receiver: TlsReceiver, ca: Path, host: str = "localhost", seconds: float = 3.0) -> TlsSyslog:
    return TlsSyslog(Receiver(host, receiver.port), ca, seconds)


@pytest.mark.parametrize("manner", [Manner.TAKES, Manner.LEAVES])
def test_a_batch_that_was_read_to_its_end_is_taken(tmp_path: Path, manner: Manner) -> None:
    authority = Authority(tmp_path)
    with TlsReceiver(authority, manner) as receiver:
        for frames in (FRAME, MANY):
            sender(receiver, authority.file).deliver(frames)
        assert receiver.connections == [FRAME, MANY]
        assert len(receiver.messages()) == 40_001


@pytest.mark.parametrize("manner", [Manner.HANGS_UP, Manner.RESETS])
@pytest.mark.parametrize("frames", [FRAME * 500, MANY], ids=["within buffers", "beyond buffers"])
def test_a_receiver_that_hangs_up_in_mid_stream_has_not_taken_the_batch(
    tmp_path: Path, manner: Manner, frames: bytes
) -> None:
    authority = Authority(tmp_path)
    with TlsReceiver(authority, manner) as receiver:
        for _ in range(5):
            with pytest.raises(DeliveryFailedError):
                sender(receiver, authority.file).deliver(frames)
        assert all(len(read) < len(frames) for read in receiver.connections)


@pytest.mark.parametrize("manner", [Manner.HOLDS, Manner.DEAF])
def test_a_receiver_that_does_not_end_is_given_up_in_time(tmp_path: Path, manner: Manner) -> None:
    authority = Authority(tmp_path)
    with TlsReceiver(authority, manner) as receiver, pytest.raises(DeliveryFailedError, match="in time"):
        sender(receiver, authority.file, seconds=0.3).deliver(MANY * 10)


def test_a_wrong_host_name_a_strange_authority_and_an_old_certificate_get_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    strange, old = Authority(other), Authority(other, "old", days=-1)
    elsewhere = Authority(tmp_path, "siem.example.org")
    for shown, ca in ((elsewhere, elsewhere.file), (authority, strange.file), (old, old.file)):
        with TlsReceiver(shown) as receiver:
            with pytest.raises(DeliveryFailedError, match="certificate"):
                sender(receiver, ca).deliver(FRAME)
            assert receiver.read == b""
    with TlsReceiver(authority) as receiver:
        with pytest.raises(DeliveryFailedError, match="certificate"):
            TlsSyslog(Receiver("localhost", receiver.port), seconds=3).deliver(FRAME)
        with pytest.raises(DeliveryFailedError, match="certificate"):
            sender(receiver, authority.file, host="127.0.0.1").deliver(FRAME)
        assert receiver.read == b""
    with TlsReceiver(numbered := Authority(tmp_path, "127.0.0.1")) as receiver:
        sender(receiver, numbered.file, host="127.0.0.1").deliver(FRAME)
        assert receiver.read == FRAME


def test_nobody_there_and_no_tls_there_are_failures(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]
        with pytest.raises(DeliveryFailedError, match="in time"):
            TlsSyslog(Receiver("localhost", port), authority.file, 0.3).deliver(FRAME)
    with pytest.raises(DeliveryFailedError):
        TlsSyslog(Receiver("localhost", port), authority.file, 0.3).deliver(FRAME)


def test_a_receiver_is_written_as_tls_host_and_port() -> None:
    assert Receiver.parse("tls://siem.example.org:6515") == Receiver("siem.example.org", 6515)
    assert Receiver.parse("tls://siem.example.org") == Receiver("siem.example.org", DEFAULT_PORT)
    assert Receiver.parse("tls://[::1]:6514") == Receiver("::1", 6514)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "siem:6514",
        "tcp://siem:6514",
        "https://siem",
        "tls://",
        "tls://:6514",
        "tls://siem:0x1",
        "tls://siem:70000",
        "tls://siem/path",
        "tls://user@siem",
        "tls://user:word@siem",
        "tls://siem?verify=no",
        "tls://siem#x",
        "tls://[",
    ],
)
def test_anything_else_is_no_receiver(text: str) -> None:
    with pytest.raises(SettingsInvalidError) as refused:
        Receiver.parse(text)
    assert "word" not in str(refused.value)


def test_a_file_without_certificates_vouches_for_nobody(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file in (empty, tmp_path / "absent.pem"):
        with pytest.raises(SettingsInvalidError):
            TlsSyslog(Receiver("localhost", 1), file)
