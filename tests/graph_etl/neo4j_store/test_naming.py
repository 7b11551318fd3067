"""Names in Neo4j: no two things share one, whatever a spec calls them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from graph_etl import KindInfo, Snapshot
from graph_etl.neo4j_store.naming import attribute_properties, node_labels
from graph_etl.neo4j_store.schema import constraints
from graph_etl.neo4j_store.tables import GraphTables
from tests.building import build_from_text

KIND_NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), max_size=8, unique=True)


@given(KIND_NAMES)
def test_no_two_kinds_share_a_label_or_the_name_of_a_constraint(names: list[str]) -> None:
    kinds = [KindInfo("account", False, True), *(KindInfo(name, True, False) for name in names)]
    labels = node_labels(kinds)
    found = [one.name for one in constraints(labels)]
    assert len(set(found)) == len(found)


def test_kinds_that_differ_in_an_underscore_have_labels_of_their_own() -> None:
    kinds = [KindInfo(name, True, False) for name in ("email_domain", "emaildomain", "ring")]
    assert [label.label for label in node_labels(kinds)] == ["EmailDomain", "Emaildomain2", "Ring2"]


def test_every_attribute_has_a_property_of_its_own(tmp_path: Path) -> None:
    spec = """
ringwatch: 1
name: odd_columns
sources: {people: {path: people.csv}}
accounts:
  - source: people
    id: id
    attributes: {"国": category, "年齢": number, "a b": number, "a-b": number}
"""
    snapshot: Snapshot = build_from_text(
        tmp_path, spec, {"people.csv": "id,国,年齢,a b,a-b\nx,jp,33,1,2\n"}
    ).snapshot
    properties = attribute_properties(snapshot)
    row = GraphTables(snapshot).nodes(0).row(0, named=True)
    assert {name: row[there] for name, there in properties.items()} == {
        "国": "jp",
        "年齢": 33.0,
        "a b": 1.0,
        "a-b": 2.0,
    }
