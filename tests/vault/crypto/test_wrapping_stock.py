"""The stock of wrapping keys: bounded, wiped, had back from the server before any is used."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vault.clock import Entropy
from vault.crypto.wrapping_stock import MOST, SECONDS, SEEN_SECONDS, Wrapping, WrappingStock
from vault.errors import RootAnswerError, RootSealedError

BATCH = 127


class Server:
    """Encrypts by turning bytes round; counts its calls, forgets on request."""

    def __init__(self) -> None:
        self.encrypted: list[int] = []
        self.expected: list[int] = []
        self.version = 1
        self.sealed = False
        self.lock = threading.Lock()

    def encrypt(self, secrets: Sequence[bytes]) -> list[str]:
        with self.lock:
            self.encrypted.append(len(secrets))
        return [f"{self.version}:{one[::-1].hex()}" for one in secrets]

    def expect(self, wrappings: Sequence[Wrapping]) -> None:
        with self.lock:
            self.expected.append(len(wrappings))
        if self.sealed:
            raise RootSealedError("sealed")
        for secret, ciphertext in wrappings:
            version, box = ciphertext.split(":")
            if int(version) < self.version or bytes.fromhex(box)[::-1] != secret:
                raise RootAnswerError("not given back")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def stock(server: Server, entropy: Entropy, ticks: list[float]) -> WrappingStock:
    return WrappingStock(server.encrypt, server.expect, BATCH, entropy, lambda: ticks[0])


def test_a_single_wrapping_fetches_no_other(stock: WrappingStock, server: Server) -> None:
    (taken,) = stock.take(1)
    assert (server.encrypted, server.expected, len(stock)) == ([1], [1], 0)
    assert taken.ciphertext.endswith(taken.secret[::-1].hex())


def test_the_stock_grows_with_what_is_taken_and_no_secret_is_given_twice(
    stock: WrappingStock, server: Server, ticks: list[float]
) -> None:
    taken = []
    for _ in range(400):
        ticks[0] += SEEN_SECONDS
        (one,) = stock.take(1)
        taken.append(one)
        assert len(stock) <= MOST
    assert len({one.secret for one in taken}) == len({one.ciphertext for one in taken}) == 400
    assert len(server.encrypted) < 12
    assert len(server.expected) == 400, "each is had back when it is used"
    assert max(server.expected) <= BATCH


def test_what_the_server_gave_back_a_moment_ago_is_not_asked_for_again(
    stock: WrappingStock, server: Server, ticks: list[float]
) -> None:
    stock.take(1)
    stock.take(1)
    asked = len(server.expected)
    server.sealed = True
    stock.take(3)
    assert len(server.expected) == asked
    ticks[0] = SEEN_SECONDS
    with pytest.raises(RootSealedError):
        stock.take(1)
    assert len(stock) == 0


def test_what_waits_too_long_is_wiped(stock: WrappingStock, server: Server, ticks: list[float]) -> None:
    stock.take(1)
    stock.take(1)
    waiting = list(stock._waiting)
    assert len(waiting) == 4
    ticks[0] = SECONDS
    stock.take(1)
    assert all(set(one._secret) == {0} for one in waiting)
    assert server.encrypted == [1, 5, 1]


def test_dropping_wipes_and_keeps_nothing_that_is_under_way(
    stock: WrappingStock, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock.take(1)
    stock.take(1)
    waiting = list(stock._waiting)
    stock.drop()
    assert all(set(one._secret) == {0} for one in waiting)
    stock.take(1)
    real = server.encrypt

    def encrypt(secrets: Sequence[bytes]) -> list[str]:
        stock.drop()
        return real(secrets)

    monkeypatch.setattr(stock, "_encrypt", encrypt)
    assert len(stock.take(1)) == 1
    assert len(stock) == 0


def test_a_version_that_may_decrypt_no_more_is_dropped_and_a_fresh_one_is_fetched(
    stock: WrappingStock, server: Server, ticks: list[float]
) -> None:
    stock.take(1)
    stock.take(1)
    server.version, ticks[0] = 2, SEEN_SECONDS
    assert stock.take(1)[0].ciphertext.startswith("2:")
    assert server.encrypted == [1, 5, 1]


def test_a_server_that_does_not_give_back_what_is_fresh_is_believed_in_nothing(
    stock: WrappingStock, server: Server, ticks: list[float]
) -> None:
    stock.take(1)
    stock.take(1)
    real, server.version = server.encrypt, 2
    stock._encrypt = lambda secrets: [one.replace("2:", "1:") for one in real(secrets)]
    ticks[0] = SEEN_SECONDS
    for _ in range(2):
        with pytest.raises(RootAnswerError):
            stock.take(1)
    assert len(stock) == 0


def test_many_at_one_go_stay_within_the_batch(
    stock: WrappingStock, server: Server, ticks: list[float]
) -> None:
    for _ in range(9):
        ticks[0] += SEEN_SECONDS
        assert len(stock.take(BATCH)) == BATCH
        stock.take(1)
    assert max(server.encrypted) <= BATCH
    assert max(server.expected) <= BATCH


def test_a_closed_stock_keeps_nothing(stock: WrappingStock) -> None:
    stock.take(1)
    stock.take(1)
    stock.close()
    for _ in range(3):
        stock.take(1)
        assert len(stock) == 0


def test_without_a_clock_nothing_is_kept(server: Server, entropy: Entropy) -> None:
    stock = WrappingStock(server.encrypt, server.expect, BATCH, entropy, None)
    for _ in range(3):
        stock.take(2)
        assert len(stock) == 0
    assert server.encrypted == server.expected == [2, 2, 2]


def test_threads_never_get_the_same_secret(stock: WrappingStock) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = [one for many in pool.map(stock.take, [1, 2, 3] * 60) for one in many]
    assert len({one.secret for one in taken}) == len(taken) == 360
    assert len(stock) <= MOST
