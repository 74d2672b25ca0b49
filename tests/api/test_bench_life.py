"""The suite of what time and people do, at its smallest: every figure has its name, unit and target."""

from pathlib import Path

from api.bench.life import AheadClock, LifeEffort, life
from vault.clock import system_clock

SMALLEST = LifeEffort(memories=2_000, person=100, sealed_anew=80, idle_seconds=0.2)


def test_the_suite_measures_what_the_targets_speak_of_and_judges_no_smaller_store(tmp_path: Path) -> None:
    figures = {one.name: one for one in life(tmp_path, SMALLEST)}
    assert set(figures) == {
        "re-encrypt, one core",
        "erase a person, until unreadable",
        "erase a person, until certified",
        "expire 1,000 memories",
        "a write beside expiry, p99",
        "a write beside expiry, longest",
    }
    assert all(one.value is not None and one.value > 0 for one in figures.values())
    assert all(one.met is None for one in figures.values()), "the targets speak of 200,000 memories"
    assert "0 rows left" in figures["re-encrypt, one core"].note
    assert "100 memories of 2,000" in figures["erase a person, until certified"].note


def test_a_whole_run_is_judged() -> None:
    assert LifeEffort.of(quick=False).whole
    assert not LifeEffort.of(quick=True).whole


def test_the_clock_goes_ahead_by_what_it_is_told() -> None:
    clock = AheadClock()
    assert abs((clock() - system_clock()).total_seconds()) < 60
