"""Where the server may be bound, and what its log tells."""

import logging
import socket
import sys
from pathlib import Path

import pytest

from api.errors import ExposureRefusedError
from api.serving import OutlineFormatter, check_exposure, is_loopback, listen
from api.settings import Settings
from vault.crypto.root import RootKind

ANYWHERE = "0.0.0.0"  # noqa: S104  # never bound here


def _tls(host: str) -> Settings:
    return Settings(host=host, tls_certificate_file=Path("c.pem"), tls_key_file=Path("k.pem"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_served_with_any_root(host: str) -> None:
    assert is_loopback(host)
    for root in RootKind:
        check_exposure(Settings(host=host), root)


@pytest.mark.parametrize(
    "host", [ANYWHERE, "::", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.example.org"]
)
def test_beyond_loopback_a_root_key_beside_the_data_is_refused_whatever_else_stands(host: str) -> None:
    for settings in (Settings(host=host), Settings(host=host, behind_proxy=True), _tls(host)):
        with pytest.raises(ExposureRefusedError, match="root key"):
            check_exposure(settings, RootKind.FILE)


def test_beyond_loopback_tls_or_a_proxy_is_expected() -> None:
    with pytest.raises(ExposureRefusedError, match="TLS"):
        check_exposure(Settings(host="10.0.0.1"), RootKind.PASSPHRASE)
    check_exposure(Settings(host="10.0.0.1", behind_proxy=True), RootKind.PASSPHRASE)
    check_exposure(_tls("10.0.0.1"), RootKind.PASSPHRASE)


def test_an_address_in_use_is_an_error_of_ours() -> None:
    with listen(Settings(port=0)) as bound:
        taken: int = bound.getsockname()[1]
        with pytest.raises(ExposureRefusedError, match="cannot be bound"):
            listen(Settings(port=taken))


def test_both_families_can_be_bound() -> None:
    with listen(Settings(host="127.0.0.1", port=0)) as bound:
        assert bound.family is socket.AF_INET
        assert bound.proto == socket.IPPROTO_TCP, "asyncio turns Nagle's delay off where it sees TCP"
    if socket.has_ipv6:
        with listen(Settings(host="::1", port=0)) as bound:
            assert bound.family is socket.AF_INET6


def test_the_log_of_the_server_tells_types_and_places_of_errors_alone() -> None:
    try:
        int("Maria Keller")
    except ValueError:
        record = logging.LogRecord("uvicorn", logging.ERROR, __file__, 1, "exception", None, sys.exc_info())
    told = OutlineFormatter("%(message)s").format(record)
    assert "builtins.ValueError" in told
    assert "Maria" not in told
    bare = logging.LogRecord("uvicorn", logging.ERROR, __file__, 1, "exception", None, (None, None, None))
    assert "exception" in OutlineFormatter("%(message)s").format(bare)
