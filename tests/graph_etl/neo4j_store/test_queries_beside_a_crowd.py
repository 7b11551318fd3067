"""Every query beside 200,000 accounts: on a hub, on what nobody has flagged, around one that all know."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from neo4j.graph import Node, Path

from graph_etl.neo4j_store import connect, queries, query, run_query, session
from tests.graph_etl.neo4j_store.crowds import CROWD, fill, scans_in, steps_of
from tests.neo4j_server import neo4j_for_tests, wipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

    from graph_etl.neo4j_store import Target

# Filling the database takes most of a minute.
pytestmark = pytest.mark.slow

WITHIN_S = 2.0
HITS = 200_000
"""Fewer looks at the store than the crowd has accounts: nothing of it was gone through."""
NODES = 300

ANY = str(10 * CROWD)
ASKED: dict[str, list[dict[str, str]]] = {
    "ring": [{"ring": "ring"}, {"ring": "big"}, {"ring": "ring", "rare": ANY}],
    "ring-members": [{"ring": "ring"}, {"ring": "big", "rare": ANY}],
    "why-in-ring": [{"account": "star"}, {"account": f"a{CROWD - 1}"}],
    "ring-flow": [{"ring": "ring"}, {"ring": "big", "limit": "1000"}],
    "bridging-identifiers": [{"ring": "ring"}, {"ring": "big", "rare": ANY}],
    "ring-history": [{"ring": "ring"}, {"ring": "big"}],
    "neighbourhood": [{"account": "star"}, {"account": "star", "rare": ANY}, {"account": "a7", "rare": ANY}],
    "nearest-bad": [{"account": "star"}, {"account": f"a{CROWD - 1}", "rare": ANY}],
    "sharing-with": [{"account": "star"}, {"account": f"a{CROWD - 1}", "rare": ANY}],
    "links": [{"account": "star"}],
    "compare": [{"account": "star", "other": f"a{CROWD - 1}"}],
    "verdict-history": [{"account": "star"}],
    "who-used": [{"key": "hub"}, {"key": "crowd"}],
    "pairs": [{}, {"rare": ANY}],
    "ban-evasion": [{}, {"rare": ANY}],
    "new-members": [{}, {"hours": "1000"}],
    "bursts": [{}, {"minutes": "10000"}],
}
CASES = [
    pytest.param(one.name, given, id=" ".join([one.name, *(f"{name}={at}" for name, at in given.items())]))
    for one in queries()
    for given in ASKED.get(one.name, [{}])
]


@pytest.fixture(scope="module")
def crowded() -> Iterator[tuple[Driver, Target]]:
    """A database with the crowd; a server of its own where one can be started: emptying takes longer."""
    with neo4j_for_tests() as target:
        wipe(target)
        fill(target)
        with connect(target) as driver:
            yield driver, target


def nodes_in(value: Any) -> set[str]:
    if isinstance(value, Node):
        return {value.element_id}
    parts = value.nodes if isinstance(value, Path) else value if isinstance(value, list) else []
    return {found for part in parts for found in nodes_in(part)}


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_query_stays_fast_and_small(
    crowded: tuple[Driver, Target], name: str, given: dict[str, str]
) -> None:
    driver, target = crowded
    wanted = query(name)
    run_query(driver, target, wanted, given)  # plans it
    began = time.perf_counter()
    _, rows = run_query(driver, target, wanted, given)
    took_s = time.perf_counter() - began
    with session(driver, target) as opened:
        profile = opened.run(f"PROFILE {wanted.text}", wanted.values(given)).consume().profile
    assert scans_in(profile) == []
    hits = sum(step.get("dbHits", 0) for step in steps_of(profile))
    assert hits < HITS
    assert len(rows) <= int(given.get("limit", 300))
    assert len(nodes_in([value for row in rows for value in row])) <= NODES
    assert took_s < WITHIN_S


def test_what_is_rare_is_found_in_the_crowd(crowded: tuple[Driver, Target]) -> None:
    driver, target = crowded

    def column(name: str, column: str, **given: str) -> list[Any]:
        columns, rows = run_query(driver, target, query(name), given)
        return [row[columns.index(column)] for row in rows]

    ring = [f"a{at}" for at in range(CROWD - 10, CROWD)]
    assert sorted(column("sharing-with", "account", account=ring[0])) == ring[1:]
    assert sorted(column("ring-members", "account", ring="ring")) == [*ring, "star"]
    assert column("why-in-ring", "what", account="star")[0] == "rare"
    assert len(column("pairs", "first")) == 10 * 9 / 2
    assert column("hubs", "key") == ["hub"]
    shared = column("ring", "shared", ring="ring")[0]
    assert [thing["hash"] for thing in shared] == ["rare", "rarer"]
    assert column("ring", "members_not_shown", ring="big")[0] > 0
    assert column("neighbourhood", "partners_not_shown", account="star")[0] > 0
