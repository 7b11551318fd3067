"""What a report says of data that may not be what was meant."""

from pathlib import Path

from graph_etl import BuildReport
from tests.building import build_from_text

SPEC = """
ringwatch: 1
name: doubtful
sources:
  people: {path: people.csv}
  gifts: {path: gifts.csv}
accounts:
  - source: people
    id: id
    time: at
    attributes: {age: number, country: category, vip: flag}
events:
  - {source: gifts, type: gift, from: {account: giver}, to: {account: taker}, time: at}
"""
PEOPLE = "id,at,age,country,vip\nann,2025-03-01T10:00:00Z,old,,yes\nbob,2025-03-04T11:30:00Z,young,,no\n"
HEADER = "giver,taker,at\n"


def test_sources_without_rows_and_attributes_that_nobody_has_are_told(tmp_path: Path) -> None:
    report = build_from_text(tmp_path, SPEC, {"people.csv": PEOPLE, "gifts.csv": HEADER}).report
    assert report.warnings == (
        "source 'gifts' has no rows",
        "no account has a value of attribute 'age'; 2 cells could not be read as number",
        "no account has a value of attribute 'country'",
    )
    assert report.to_dict()["warnings"] == report.warnings


def test_data_without_doubts_has_no_warnings(tmp_path: Path) -> None:
    people = PEOPLE.replace("old", "61").replace(",,", ",PT,")
    gifts = HEADER + "ann,bob,2025-03-05T00:00:00Z\n"
    assert build_from_text(tmp_path, SPEC, {"people.csv": people, "gifts.csv": gifts}).report.warnings == ()


def test_an_append_without_a_snapshot_says_that_it_built_anew(tmp_path: Path) -> None:
    gifts = HEADER + "ann,bob,2025-03-05T00:00:00Z\n"
    people = PEOPLE.replace("old", "61").replace(",,", ",PT,")
    built = build_from_text(tmp_path, SPEC, {"people.csv": people, "gifts.csv": gifts}, append=True)
    assert built.report.warnings == ("there was no snapshot to append to; built anew",)


def test_the_report_tells_the_first_and_the_last_time(tmp_path: Path) -> None:
    report = build_from_text(tmp_path, SPEC, {"people.csv": PEOPLE, "gifts.csv": HEADER}).report
    assert report.time_range_ms == (1_740_823_200_000, 1_741_087_800_000)
    rows = _graph_rows(report)
    assert (rows["first event"], rows["last event"]) == ("2025-03-01T10:00:00Z", "2025-03-04T11:30:00Z")


def test_a_graph_without_times_tells_none(tmp_path: Path) -> None:
    spec = SPEC.replace("    time: at\n", "").replace(", time: at", "")
    report = build_from_text(tmp_path, spec, {"people.csv": PEOPLE, "gifts.csv": HEADER}).report
    assert report.time_range_ms is None
    assert "first event" not in _graph_rows(report)


def _graph_rows(report: BuildReport) -> dict[str | int, str | int]:
    (table,) = [table for table in report.tables() if table.title == "Graph"]
    return {row[0]: row[1] for row in table.rows}
