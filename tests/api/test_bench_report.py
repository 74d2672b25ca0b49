"""Figures, targets, and the forms of a report."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.bench.report import (
    RECORD_BEGIN,
    RECORD_END,
    Figure,
    Report,
    Section,
    as_json,
    at_least,
    at_most,
    cells,
    machine_line,
    markdown,
    not_judged,
    not_measured,
    p50,
    p95,
    recorded,
    versions,
)

REPORT = Report(
    "memvault bench",
    datetime(2026, 11, 22, 12, tzinfo=UTC),
    "a machine",
    {"python": "3.11"},
    (
        Section(
            "writes",
            1.4,
            (
                Figure("alone", 0.61, "ms", at_most(0.9), "a | b"),
                Figure("crowd", 2_900.0, "memories/s", at_least(3_000)),
                not_measured("peer", "times", "absent", at_least(1.3)),
                Figure("beside", 5.0, "s"),
            ),
            0.5,
        ),
    ),
)


def test_a_target_is_met_at_its_bound_and_missed_beyond_it() -> None:
    assert at_most(4).met(4)
    assert not at_most(4).met(4.01)
    assert at_least(4).met(4)
    assert not at_least(4).met(3.99)


def test_a_figure_without_target_or_value_is_neither_met_nor_missed() -> None:
    assert [figure.met for figure in REPORT.sections[0].figures] == [True, False, None, None]
    assert [figure.name for figure in REPORT.missed] == ["crowd"]


def test_what_could_not_be_measured_stands_in_its_place_with_the_reason() -> None:
    assert cells(REPORT.sections[0].figures[2]) == (
        "peer",
        "- times",
        "at least 1.3",
        "",
        "not measured: absent",
    )


def test_a_figure_of_less_than_its_target_speaks_of_is_not_judged_and_says_why() -> None:
    rough = not_judged(Figure("open 10", 0.1, "s", at_most(15), "words"), "the target speaks of 100")
    assert rough.met is None
    assert cells(rough) == ("open 10", "0.1 s", "at most 15", "not judged", "words; the target speaks of 100")
    missed = not_judged(Figure("open 10", 99.0, "s", at_most(15)), "small")
    report = replace(REPORT, sections=(Section("growth", 1.0, (rough, missed), 0.5),))
    assert report.missed == []
    assert report.not_judged == [rough, missed]


def test_a_figure_without_target_stays_as_it_is() -> None:
    beside = Figure("beside", 5.0, "s")
    assert not_judged(beside, "small") == beside


def test_a_report_in_markdown_is_one_table_a_suite_with_bars_escaped() -> None:
    lines = markdown(REPORT).splitlines()
    assert "| alone | 0.61 ms | at most 0.9 | yes | a \\| b |" in lines
    assert "| crowd | 2,900 memories/s | at least 3,000 | NO |  |" in lines
    assert "1 s; load average 0.5 at its start." in lines


def test_a_report_in_json_holds_every_value_unrounded() -> None:
    shape = json.loads(as_json(REPORT))
    first = shape["sections"][0]["figures"][0]
    assert first == {
        "name": "alone",
        "value": 0.61,
        "unit": "ms",
        "target": {"better": "at most", "bound": 0.9},
        "met": True,
        "judged": True,
        "note": "a | b",
    }
    assert shape["sections"][0]["figures"][2]["value"] is None


def test_a_report_is_recorded_between_the_markers_and_again_in_place_of_itself() -> None:
    document = f"before\n{RECORD_BEGIN}\nold\n{RECORD_END}\nafter\n"
    once = recorded(document, REPORT)
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert "old" not in once
    assert "| alone |" in once
    assert recorded(once, REPORT) == once


def test_a_document_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="expected the markers"):
        recorded(f"{RECORD_BEGIN} but no end", REPORT)


def test_medians_and_percentiles_of_a_few_values() -> None:
    assert p50([3.0, 1.0, 2.0]) == 2.0
    assert p95([float(n) for n in range(100)]) == 95.0
    assert p95([1.0]) == 1.0


def test_the_machine_and_the_versions_are_told_without_the_machines_name() -> None:
    assert "cores" in machine_line()
    assert versions()["cryptography"] != "absent"
