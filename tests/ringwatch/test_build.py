"""`ringwatch build`: files and what the service accepted in, a report and its warnings out."""

from pathlib import Path

import pytest

from graph_etl import LiveEvent, Workspace
from scoring_service.journal import Entry, Journal
from tests.building import write_data
from tests.ringwatch.conftest import Call

SPEC = """
ringwatch: 1
name: shop
sources:
  people: {path: people.csv}
kinds:
  device: {identifier: true, public: true, normalise: exact}
accounts:
  - {source: people, id: id, time: at, event_id: event, identifiers: {device: device}}
"""
PEOPLE = "event,id,at,device\ns1,ann,2025-03-01T10:00:00Z,d1\n"
EVENTS = (
    LiveEvent("signup", "ann", 1_740_823_200_000, "s1", (("device", "d1"),)),
    LiveEvent("signup", "bob", 1_740_823_300_000, "s2", (("device", "d1"),)),
)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A shop with one account in a file, and two in the journal of its workspace."""
    write_data(tmp_path / "data", SPEC, {"people.csv": PEOPLE})
    (tmp_path / "w").mkdir()
    with Journal.open(tmp_path / "w" / "state.db", commit="process") as journal:
        journal.append([Entry(event) for event in EVENTS])
    return tmp_path / "data" / "spec.yaml"


def test_the_journal_of_the_workspace_is_built_too(spec: Path, tmp_path: Path, call: Call) -> None:
    report = call("build", spec, "-w", tmp_path / "w", "--json").document["result"]
    assert (report["accounts"], report["last_seq"], report["totals"]["duplicates"]) == (2, 2, 1)
    rows = {(source["source"], source["mapping"]): source["rows"] for source in report["sources"]}
    assert (rows["people", "accounts[0]"], rows["journal", "accounts"]) == (1, 2)
    assert Workspace(tmp_path / "w").open_snapshot().last_seq == 2


def test_the_journal_is_left_out_on_request_and_that_is_told(spec: Path, tmp_path: Path, call: Call) -> None:
    assert call("build", spec, "-w", tmp_path / "w").code == 0
    said = call("build", spec, "-w", tmp_path / "w", "--no-journal", "--json")
    assert (said.document["result"]["accounts"], said.document["result"]["last_seq"]) == (1, 0)
    assert "warning: rows of the journal up to 0 are in; the snapshot before held 2" in said.err


def test_the_journal_can_be_read_while_the_service_writes_it(spec: Path, tmp_path: Path, call: Call) -> None:
    with Journal.open(tmp_path / "w" / "state.db", commit="process") as journal:
        report = call("build", spec, "-w", tmp_path / "w", "--json").document["result"]
        assert report["last_seq"] == 2
        journal.append([Entry(LiveEvent("signup", "cyd", 1_740_823_400_000, "s3"))])
    again = call("build", spec, "-w", tmp_path / "w", "--append", "--json").document["result"]
    assert (again["last_seq"], again["accounts"]) == (3, 3)


def test_an_append_to_nothing_says_so(tmp_path: Path, call: Call) -> None:
    write_data(tmp_path / "data", SPEC, {"people.csv": PEOPLE})
    said = call("build", tmp_path / "data" / "spec.yaml", "-w", tmp_path / "w", "--append")
    assert said.code == 0
    assert "warning: there was no snapshot to append to; built anew" in said.err
