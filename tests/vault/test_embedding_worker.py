"""The embedding worker: it follows the writers, survives what it cannot store, and never overtakes an update."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.simulators.clinic import OWNER, Clinic, make_template
from tests.simulators.fakes import HashEmbedder, fake_options
from vault.errors import StorageFullError
from vault.opening import VaultOptions


class HeldEmbedder(HashEmbedder):
    """Waits for a sign before each batch, and says that it waits."""

    def __init__(self) -> None:
        self.waiting, self.go = threading.Event(), threading.Event()
        self.batches: list[int] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Wait, then embed."""
        if threading.current_thread().name.startswith("embed"):
            self.waiting.set()
            assert self.go.wait(20)
            self.batches.append(len(texts))
        return super().embed(texts)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed vault."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def open_clinic(template: Path, tmp_path: Path) -> Callable[[HeldEmbedder], Clinic]:
    """Open a copy of the vault with an embedder."""

    def open_with(embedder: HeldEmbedder) -> Clinic:
        fake = fake_options()
        options = VaultOptions(detector=fake.detector, embedder=embedder, clock=fake.clock)
        return Clinic(template, tmp_path / "vault", options)

    return open_with


Open = Callable[[HeldEmbedder], Clinic]


def test_a_writer_does_not_wait_for_the_embedder_and_a_reader_finds_by_words(open_clinic: Open) -> None:
    embedder = HeldEmbedder()
    clinic = open_clinic(embedder)
    ids = [clinic.mem(OWNER).extract(f"quokka {nth}").memory_ids[0] for nth in range(5)]
    assert embedder.waiting.wait(20)
    assert clinic.vault.parts.embedding.backlog == 5
    assert not clinic.vault.wait(0.05)
    assert {hit.memory.id for hit in clinic.mem(OWNER).retrieve("quokka").hits} == set(ids)
    assert clinic.count("embedding") == 0
    embedder.go.set()
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 5
    assert sum(embedder.batches) == 5
    clinic.close()


def test_a_vector_of_a_version_that_was_replaced_meanwhile_is_not_kept(open_clinic: Open) -> None:
    embedder = HeldEmbedder()
    clinic = open_clinic(embedder)
    memory_id = clinic.mem(OWNER).extract("first words").memory_ids[0]
    assert embedder.waiting.wait(20)
    clinic.mem(OWNER).update(memory_id, "second words")
    embedder.go.set()
    assert clinic.vault.wait(20)
    assert clinic.sql("SELECT memory_id, version FROM embedding") == [(memory_id, 2)]
    clinic.close()


def test_what_was_not_embedded_at_the_close_is_embedded_after_the_next_start(open_clinic: Open) -> None:
    embedder = HeldEmbedder()
    clinic = open_clinic(embedder)
    for nth in range(40):
        clinic.mem(OWNER).extract(f"note {nth}")
    assert embedder.waiting.wait(20)
    closing = threading.Thread(target=clinic.close)
    closing.start()
    while not clinic.vault.parts.embedding._closing and closing.is_alive():
        closing.join(0.01)
    embedder.go.set()
    closing.join(20)
    assert not closing.is_alive()
    left = 40 - clinic.count("embedding")
    assert left > 0, "the close did not wait for all"
    clinic.reopen(fake_options())
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 40
    clinic.close()


def test_a_vector_that_cannot_be_stored_ends_neither_the_worker_nor_the_wait(
    open_clinic: Open, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = HeldEmbedder()
    embedder.go.set()
    clinic = open_clinic(embedder)
    clinic.sql("CREATE TRIGGER no_vectors BEFORE INSERT ON embedding BEGIN SELECT RAISE(ABORT, 'no'); END")
    clinic.mem(OWNER).extract("secret words of Maria")
    assert clinic.vault.wait(20)
    assert (clinic.vault.parts.embedding.failed, clinic.count("embedding")) == (1, 0)
    assert "secret" not in caplog.text
    clinic.sql("DROP TRIGGER no_vectors")
    clinic.mem(OWNER).extract("more words")
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 1
    assert len(clinic.mem(OWNER).retrieve("words").hits) == 2
    clinic.reopen()
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 2
    clinic.close()


def test_on_a_full_disk_a_memory_without_its_vector_is_told_to_be_durable(
    open_clinic: Open, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = HeldEmbedder()
    clinic = open_clinic(embedder)
    memory_id = clinic.mem(OWNER).extract("first words").memory_ids[0]
    assert embedder.waiting.wait(20)

    def full(_work: object) -> None:
        raise StorageFullError("no space is left for the store; nothing was acknowledged")

    with monkeypatch.context() as patch:
        patch.setattr(clinic.vault.parts.store, "submit", full)
        embedder.go.set()
        assert clinic.vault.wait(20)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"memory {memory_id} is durable; the next opening makes its vector: no space is left for the store"
    )
    assert clinic.vault.parts.embedding.failed == 1
    assert clinic.mem(OWNER).get(memory_id).text == "first words"
    clinic.reopen()
    assert clinic.vault.wait(20)
    assert clinic.sql("SELECT memory_id FROM embedding") == [(memory_id,)]
    clinic.close()


class BrokenEmbedder(HashEmbedder):
    """Fails on one text, as a runtime fails on one it cannot take."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Fail, or embed."""
        if any("poison" in text for text in texts):
            raise ValueError("the runtime refused the input")
        return super().embed(texts)


def test_a_text_that_the_embedder_refuses_does_not_end_the_embedding_of_others(
    template: Path, tmp_path: Path
) -> None:
    fake = fake_options()
    clinic = Clinic(
        template,
        tmp_path / "vault",
        VaultOptions(detector=fake.detector, embedder=BrokenEmbedder(), clock=fake.clock),
    )
    poison = clinic.mem(OWNER).extract("poison").memory_ids[0]
    assert clinic.vault.wait(20)
    clinic.mem(OWNER).extract("fine words")
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 1
    assert clinic.vault.parts.embedding.failed == 1
    assert clinic.mem(OWNER).get(poison).text == "poison"
    clinic.close()


def test_vectors_survive_a_reopening_to_the_last_bit_of_their_width(open_clinic: Open) -> None:
    embedder = HeldEmbedder()
    embedder.go.set()
    clinic = open_clinic(embedder)
    clinic.mem(OWNER).extract("words of a memory")
    assert clinic.vault.wait(20)
    before = [hit.why.get("dense") for hit in clinic.mem(OWNER).retrieve("words of another").hits]
    clinic.reopen()
    after = [hit.why.get("dense") for hit in clinic.mem(OWNER).retrieve("words of another").hits]
    assert before == pytest.approx(after, abs=1e-3)
    clinic.close()


class OtherEmbedder(HashEmbedder):
    """Another model, with vectors of another length."""

    @property
    def name(self) -> str:
        """Model and version."""
        return "other-embedder/1"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return 16

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return half of each vector, at length one."""
        half = super().embed(texts)[:, :16]
        return np.asarray(half / np.linalg.norm(half, axis=1, keepdims=True), np.float32)


def test_vectors_of_another_model_are_made_anew_and_never_compared(open_clinic: Open) -> None:
    embedder = HeldEmbedder()
    embedder.go.set()
    clinic = open_clinic(embedder)
    ids = [clinic.mem(OWNER).extract(f"words {nth}").memory_ids[0] for nth in range(3)]
    assert clinic.vault.wait(20)
    clinic.reopen(
        VaultOptions(detector=clinic.options.detector, embedder=OtherEmbedder(), clock=clinic.options.clock)
    )
    assert {hit.memory.id for hit in clinic.mem(OWNER).retrieve("words").hits} == set(ids)
    assert clinic.vault.wait(20)
    assert clinic.sql("SELECT model, count(*) FROM embedding GROUP BY model") == [("other-embedder/1", 3)]
    assert {hit.memory.id for hit in clinic.mem(OWNER).retrieve("words").hits} == set(ids)
    clinic.close()
