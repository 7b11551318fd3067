"""A graph for tests in which 200,000 accounts crowd around whatever a query may start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graph_etl.neo4j_store import connect, session
from graph_etl.neo4j_store.naming import NodeLabel
from graph_etl.neo4j_store.schema import create_schema

if TYPE_CHECKING:
    from graph_etl.neo4j_store import Target

CROWD: Final = 200_000
LABELS: Final = (
    NodeLabel("account", "Account", None, "id", True),
    NodeLabel("device", "Device", "Identifier", "hash", False),
    NodeLabel("wallet", "Wallet", "Entity", "key", True),
)

_PLACES: Final = """
CREATE (hub:Device:Identifier {hash: 'hub', kind: 'device', accounts: $crowd, hub: true,
  hub_reason: 'a test device'})
CREATE (device:Device:Identifier {hash: 'crowd', kind: 'device', accounts: $crowd, hub: false})
CREATE (wallet:Wallet:Entity {key: 'crowd', kind: 'wallet', accounts: $crowd, hub: false})
CREATE (star:Account {id: 'star', first_seen: datetime('2026-03-01'), hub: false, score: 0.5, ring: 'ring'})
CREATE (big:Ring {id: 'big', rank: 2, score: 0.8, size: $members, superseded: false,
  words: 'a tenth of the crowd'})
CREATE (:RingwatchState {name: 'graph', data: 'crowds', snapshot: 's1'})
RETURN [hub, device, wallet, star, big] AS places
"""
# All came within a day; the last one is the newest. One in ten is known bad.
_ACCOUNTS: Final = """
MATCH (hub), (device), (wallet), (star), (big)
WHERE elementId(hub) = $places[0] AND elementId(device) = $places[1] AND elementId(wallet) = $places[2]
  AND elementId(star) = $places[3] AND elementId(big) = $places[4]
UNWIND range($low, $high - 1) AS n
WITH *, datetime({epochSeconds: 1772323200 + n / 3}) AS came
CREATE (a:Account {id: 'a' + n, first_seen: came, hub: false, score: n / toFloat($crowd), ring: 'big',
  verdict: CASE WHEN n % 10 = 0 THEN 'bad' END})
CREATE (a)-[:USED]->(hub)
CREATE (a)-[:USED {first_seen: came}]->(device)
// The star and the wallet have a quarter of the crowd each, the ring a tenth of it.
FOREACH (_ IN CASE WHEN n % 4 = 0 THEN [1] END | CREATE (a)-[:GIFT {amount: 5.0}]->(star))
FOREACH (_ IN CASE WHEN n % 4 = 1 THEN [1] END | CREATE (a)-[:SENT]->(wallet))
FOREACH (_ IN CASE WHEN n % 10 = 2 THEN [1] END | CREATE (a)-[:MEMBER_OF {weight: 0.5}]->(big))
"""
# The last ten share two devices that are rare, and are a ring with the account that so many sent something.
_RING: Final = """
MATCH (star:Account {id: 'star'}), (hub:Device {hash: 'hub'}), (device:Device {hash: 'crowd'}),
  (wallet:Wallet {key: 'crowd'})
CREATE (ring:Ring {id: 'ring', rank: 1, score: 0.9, size: 11, superseded: false, words: 'beside the crowd'})
CREATE (rare:Device:Identifier {hash: 'rare', kind: 'device', accounts: 11, hub: false})
CREATE (rarer:Device:Identifier {hash: 'rarer', kind: 'device', accounts: 10, hub: false})
CREATE (star)-[:MEMBER_OF {role: 'beneficiary', weight: 0.9}]->(ring)
CREATE (star)-[:USED]->(rare)
CREATE (star)-[:USED]->(hub)
CREATE (star)-[:USED]->(device)
CREATE (star)-[:SENT]->(wallet)
WITH ring, rare, rarer
UNWIND range($crowd - 10, $crowd - 1) AS n
MATCH (a:Account {id: 'a' + n})
OPTIONAL MATCH (a)-[was:MEMBER_OF]->(:Ring {id: 'big'})
DELETE was
SET a.ring = 'ring'
CREATE (a)-[:MEMBER_OF {role: 'core', weight: 0.8}]->(ring)
CREATE (a)-[:USED {first_seen: a.first_seen}]->(rare)
CREATE (a)-[:USED {first_seen: a.first_seen}]->(rarer)
"""
_LINKS: Final = """
MATCH (star:Account {id: 'star'})
UNWIND range(0, 9999) AS n
MATCH (a:Account {id: 'a' + n})
CREATE (a)-[:LINKED_TO {weight: n / 10000.0, because: 'dealt with each other'}]->(star)
"""
_VERDICTS: Final = """
UNWIND range(0, $crowd - 1, 40) AS n
MATCH (a:Account {id: 'a' + n})
CREATE (a)-[:HAS_VERDICT]->(:Verdict {id: 'v' + n, label: 'bad', known_at: a.first_seen})
WITH count(*) AS given
MATCH (star:Account {id: 'star'})
UNWIND range(0, 4999) AS n
CREATE (star)-[:HAS_VERDICT]->(:Verdict {id: 'w' + n, label: 'good', known_at: datetime('2026-03-01')})
"""


def fill(target: Target) -> None:
    """Write the graph into an empty database: half a million relationships and more.

    Args:
        target: The database.
    """
    with connect(target) as driver, session(driver, target) as opened:
        places = opened.run(_PLACES, crowd=CROWD, members=CROWD // 10).single(strict=True)["places"]
        names = [place.element_id for place in places]
        for low in range(0, CROWD, 25_000):
            opened.run(_ACCOUNTS, crowd=CROWD, places=names, low=low, high=low + 25_000).consume()
        # Indexes that are made of what is there take a fraction of the time that keeping them up takes.
        create_schema(opened, LABELS)
        for statement in (_RING, _LINKS, _VERDICTS):
            opened.run(statement, crowd=CROWD).consume()


SCANS: Final = ("AllNodesScan", "LabelScan", "LabelsScan", "AllRelationshipsScan", "RelationshipTypeScan")
"""Operators of a plan that look at every node or relationship of a sort: no query may begin with them."""


def steps_of(plan: dict[str, Any] | None) -> list[dict[str, Any]]:
    """All steps of a plan or profile, as the driver's summary gives it.

    Args:
        plan: Its last step, with those before under ``children``.

    Returns:
        The steps; each with ``operatorType`` and, of a profile, ``dbHits``.
    """
    if not plan:
        return []
    return [plan, *(step for child in plan.get("children", []) for step in steps_of(child))]


def scans_in(plan: dict[str, Any] | None) -> list[str]:
    """The steps of a plan that are scans.

    Args:
        plan: Its last step.

    Returns:
        Names of their operators.
    """
    names = [step["operatorType"] for step in steps_of(plan)]
    assert names  # a plan was given
    return [name for name in names if any(scan in name for scan in SCANS)]
