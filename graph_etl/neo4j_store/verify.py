"""Checking a database against a snapshot: what is missing, what is too much, what is otherwise.

Both sides are read once, in pages: nodes by ranges of the database's own ids, relationships by the nodes that
they lead to. Rows are compared exactly; hashes of them are added up for people who compare databases.
"""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from graph_etl.neo4j_store import schema
from graph_etl.neo4j_store.connection import GraphStoreError, connect, session
from graph_etl.neo4j_store.differences import Difference, VerifyReport
from graph_etl.neo4j_store.naming import RESERVED_TYPES
from graph_etl.neo4j_store.node_check import NodeCheck, node_sorts
from graph_etl.neo4j_store.relationship_check import RelationshipCheck
from graph_etl.neo4j_store.tables import GraphTables
from graph_etl.progress import silent
from graph_etl.snapshot import node_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from neo4j import Session

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.differences import Comparison
    from graph_etl.snapshot import Snapshot


def verify(
    snapshot: Snapshot, target: Target, *, progress: Callable[[str, int, int], None] | None = None
) -> VerifyReport:
    """Compare a database with a snapshot: counts, degrees, content, constraints and indexes.

    What loads write is compared. What a write-back sets is not, nor are properties, labels and relationship
    types of somebody else. Memory is bounded by the number of nodes, and by the relationships that lead to
    one page of them or to a single one.

    Args:
        snapshot: The snapshot.
        target: The database.
        progress: Told of each step, what is done and of how much.

    Returns:
        What differs.

    Raises:
        GraphStoreError: If the database cannot be used, is empty or holds something else.
    """
    started = time.monotonic()
    tell = progress or silent
    tables = GraphTables(snapshot)
    comparisons: list[Comparison] = []
    notes: list[str] = []
    with connect(target) as driver, session(driver, target, default_access_mode="READ") as opened:
        manifest = snapshot.manifest
        state = schema.check_owner(opened, target, manifest["name"], manifest["key_fingerprint"])
        if state is None:
            message = f"{target.shown}: is empty; fill it with `ringwatch neo4j load`"
            raise GraphStoreError(message)
        differences = _differences_of_state(state, snapshot)
        if not differences:
            differences = _differences_of_schema(opened, tables)
            with _rare_collections():
                comparisons = _compare(tables, opened, tell)
            notes = [*_notes_of_state(state, snapshot, comparisons), *_strangers(opened, tables)]
            if schema.read_state(opened) != state:
                notes.append("somebody wrote to the database meanwhile; run the command again")
    examples = (example for one in comparisons for example in one.examples)
    return VerifyReport(
        snapshot.id, comparisons, (*differences, *examples), tuple(notes), time.monotonic() - started
    )


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles among objects seldom: rows hold none, and looking costs as much as comparing them."""
    before = gc.get_threshold()
    gc.set_threshold(2_000_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _compare(tables: GraphTables, opened: Session, tell: Callable[[str, int, int], None]) -> list[Comparison]:
    """Compare nodes, then relationships."""
    snapshot = tables.snapshot
    verdicts = tables.verdicts()
    sorts = node_sorts(tables, verdicts)
    verdict_names = node_hashes(sorts[-1].kind, verdicts["id"].to_list())[:, 0]
    names = np.concatenate([snapshot.names_of_nodes(), verdict_names])
    nodes = NodeCheck(sorts, names, snapshot.last_seq, opened, tell)
    relationships = RelationshipCheck(tables, sorts, nodes.run(), opened, tell)
    relationships.run()
    return [*nodes.comparisons, *relationships.comparisons.values()]


def _differences_of_state(state: Mapping[str, Any], snapshot: Snapshot) -> list[Difference]:
    held, loading = state.get("snapshot"), state.get("loading")
    if loading is not None:
        text = f"the load of snapshot {loading} has not ended; `ringwatch neo4j load` ends it"
        return [Difference("state", schema.STATE, "loading", text)]
    if held != snapshot.id:
        text = f"holds snapshot {held}, not {snapshot.id}; `ringwatch neo4j load` brings it up to date"
        return [Difference("state", schema.STATE, "snapshot", text)]
    return []


def _differences_of_schema(opened: Session, tables: GraphTables) -> list[Difference]:
    constraints = schema.missing_constraints(opened, tables.labels)
    return [
        Difference("schema", name, "missing", f"{what} {name}")
        for what, names in (("constraint", constraints), ("index", schema.missing_indexes(opened)))
        for name in names
    ]


def _notes_of_state(
    state: Mapping[str, Any], snapshot: Snapshot, comparisons: Sequence[Comparison]
) -> Iterator[str]:
    seq = int(state.get("journal_seq") or 0)
    if seq > snapshot.last_seq:
        nodes, relationships = (
            sum(one.followed for one in comparisons if one.sort == sort) for sort in ("node", "relationship")
        )
        yield (
            f"the database follows the journal up to row {seq:,}, the snapshot ends at row"
            f" {snapshot.last_seq:,}: {nodes:,} nodes and {relationships:,} relationships that changed"
            " since are not compared"
        )


def _strangers(opened: Session, tables: GraphTables) -> Iterator[str]:
    """What is in the database and is none of ours."""
    ours = {*(label.label for label in tables.labels), *_OTHER_LABELS}
    none_of_ours = " OR ".join(f"n:{label}" for label in sorted(ours))
    for labels, count in opened.run(
        f"MATCH (n) WHERE NOT ({none_of_ours}) RETURN labels(n), count(*) ORDER BY count(*) DESC"
    ).values():
        named = f"labelled {':'.join(labels)}" if labels else "without a label"
        yield _left_alone(count, "node", named)
    types = {*(table.type for table in tables.relationship_tables), *RESERVED_TYPES}
    for (name,) in opened.run("CALL db.relationshipTypes()").values():
        if name in types:
            continue
        quoted = name.replace("`", "``")
        count = opened.run(f"MATCH ()-[r:`{quoted}`]->() RETURN count(r)").single(strict=True)[0]
        if count:
            yield _left_alone(count, "relationship", name)


def _left_alone(count: int, what: str, named: str) -> str:
    if count == 1:
        return f"1 {what} {named} is not Ringwatch's, and is left alone"
    return f"{count:,} {what}s {named} are not Ringwatch's, and are left alone"


_OTHER_LABELS = ("Verdict", "Ring", "RingStaged", "RingwatchState", "RingwatchCheckpoint")
