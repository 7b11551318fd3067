"""Runs the Cypher of every ring in a real Neo4j and counts how many of its numbers come out as expected.

    NEO4J_URI=... NEO4J_PASSWORD=... python benchmarks/ring_cypher.py --workspace DIR

The database must be empty or hold the workspace's snapshot already; `ringwatch rings` must have run.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graph_etl import Workspace
from graph_etl.neo4j_store import connect, load, session
from rings import RingsRun
from rings.cypher import MOST_NODES, RingQuery, ring_queries
from ringwatch.commands.neo4j.options import target_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from neo4j import Session

# What finds its rows by reading all of a label, or all there is.
SCANS = (
    "AllNodesScan",
    "NodeByLabelScan",
    "UnionNodeByLabelsScan",
    "RelationshipTypeScan",
    "CartesianProduct",
)


def differences(opened: Session, query: RingQuery, members: Collection[str]) -> list[str]:
    """Run a query and compare its answer with what is expected.

    Args:
        opened: A session.
        query: The query.
        members: The ring's members.

    Returns:
        What differs, in words; empty if nothing does.
    """
    records = list(opened.run(query.text))
    told: dict[str, Any] = dict(records[0]) if records else {}
    if query.id == "found":
        found = {record["account"]["id"] for record in records}
        told = {
            "rows": len(records),
            "members": len(found & set(members)),
            "missing": sorted(set(members) - found),
        }
    wrong = []
    for name, wanted in query.expected.items():
        value = told.get(name)
        if isinstance(value, list) and isinstance(wanted, int):
            value = len(value)
        if value != wanted:
            wrong.append(f"{query.id} {name}: {value} instead of {wanted}")
    if query.id == "ring":
        drawn = [node["id"] for node in told.get("members", [])]
        if not set(drawn) <= set(members) or len(drawn) + len(told.get("shared", [])) > MOST_NODES:
            wrong.append(f"ring: draws {len(drawn)} members and {len(told.get('shared', []))} shared things")
    return wrong


def operators(opened: Session, query: RingQuery) -> set[str]:
    """The operators of a query's plan.

    Args:
        opened: A session.
        query: The query.

    Returns:
        Their names.
    """
    plan = opened.run(f"EXPLAIN {query.text}").consume().plan

    def names(step: Any) -> set[str]:
        own = {step["operatorType"].partition("@")[0]}
        return own.union(*(names(child) for child in step.get("children", ())))

    return names(plan)


def main() -> None:
    """Load, run everything, print a table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--workspace", type=Path, required=True)
    place = Workspace(options.parse_args().workspace)
    snapshot = place.open_snapshot()
    run = RingsRun.open(place.path_of("rings", str(place.current()["rings"])))
    members = dict(run.members.group_by("ring").agg("account_id").iter_rows())
    target = target_of()
    load(snapshot, place, target)
    ran, agreed, pieces = Counter[str](), Counter[str](), Counter[str]()
    seconds: list[float] = []
    reached, strangers = 0, 0
    length: list[int] = []
    with connect(target) as driver, session(driver, target) as opened:
        for ring in run.table["ring"]:
            evidence = {piece["id"]: piece["type"] for piece in run.evidence(ring)}
            pieces.update(evidence.values())
            queries = ring_queries(snapshot, ring, members[ring], run.evidence(ring))
            length.append(sum(len(query.text) for query in queries))
            for query in queries:
                kind = evidence.get(query.id, query.id)
                started = time.perf_counter()
                wrong = differences(opened, query, members[ring])
                seconds.append(time.perf_counter() - started)
                ran[kind] += 1
                agreed[kind] += not wrong
                for line in wrong:
                    print(f"  {ring} {line}")
                if query.id == "found":
                    reached += query.expected["members"]
                    strangers += query.expected["rows"] - query.expected["members"]
    print(
        f"{snapshot.manifest['name']}, snapshot {snapshot.id}, {len(members):,} rings; {platform.platform()}"
    )
    for kind in ran:
        told = f" of {pieces[kind]:,} pieces of evidence" if kind in pieces else ""
        print(f"{kind:>14}: {agreed[kind]:,} of {ran[kind]:,} queries agree{told}")
    for kind in sorted(set(pieces) - set(ran)):
        print(f"{kind:>14}: no query; {pieces[kind]:,} pieces of evidence")
    total = sum(map(len, members.values()))
    print(f"found again: {reached:,} of {total:,} members, with {strangers:,} others")
    middle, most = np.percentile(seconds, 50) * 1000, max(seconds) * 1000
    print(f"a query: median {middle:.1f} ms, slowest {most:.0f} ms")
    print(f"text of all queries of a ring: at most {max(length):,} characters")


if __name__ == "__main__":
    main()
