"""Constraints and indexes of the graph in Neo4j, and the node that says what the database holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graph_etl.neo4j_store.connection import GraphStoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from neo4j import Session

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.naming import NodeLabel
    from graph_etl.neo4j_store.tables import GraphTables

FORMAT: Final = 1
STATE: Final = "graph"
"""``name`` of the one ``:RingwatchState`` node."""

_INDEXES_WITHIN_S: Final = 3600
_INDEXES: Final = {
    "ringwatch_account_score": "(n:Account) ON (n.score)",
    "ringwatch_account_ring": "(n:Account) ON (n.ring)",
    "ringwatch_account_verdict": "(n:Account) ON (n.verdict)",
    "ringwatch_account_first_seen": "(n:Account) ON (n.first_seen)",
    # Only hubs have a reason, so these hold nothing but hubs.
    "ringwatch_account_hub": "(n:Account) ON (n.hub_reason)",
    "ringwatch_identifier_hash": "(n:Identifier) ON (n.hash)",
    "ringwatch_identifier_hub": "(n:Identifier) ON (n.hub_reason)",
    "ringwatch_identifier_accounts": "(n:Identifier) ON (n.accounts)",
    "ringwatch_entity_key": "(n:Entity) ON (n.key)",
    "ringwatch_entity_hub": "(n:Entity) ON (n.hub_reason)",
    "ringwatch_entity_accounts": "(n:Entity) ON (n.accounts)",
    "ringwatch_ring_rank": "(n:Ring) ON (n.rank)",
    "ringwatch_verdict_known_at": "(n:Verdict) ON (n.known_at)",
}


@dataclass(frozen=True, slots=True)
class Constraint:
    """A uniqueness constraint.

    Attributes:
        name: Its name in the database.
        label: The label that it is on.
        key: The property that is unique among the nodes of the label.
    """

    name: str
    label: str
    key: str


def constraints(labels: Sequence[NodeLabel]) -> tuple[Constraint, ...]:
    """The constraints of a graph with these labels."""
    fixed = (("Ring", "id"), ("Verdict", "id"), ("RingwatchState", "name"), ("RingwatchCheckpoint", "slot"))
    keys = [*((label.label, label.key) for label in labels), *fixed]
    return tuple(Constraint(f"ringwatch_{label}_{key}".lower(), label, key) for label, key in keys)


def create_schema(session: Session, labels: Sequence[NodeLabel]) -> None:
    """Create what is missing of constraints and indexes, wait for them and check that they are there.

    Args:
        session: A session.
        labels: Labels of the graph.

    Raises:
        GraphStoreError: If one of them is not there or not in use afterwards.
    """
    create_constraints(session, labels)
    create_indexes(session)


def create_constraints(session: Session, labels: Sequence[NodeLabel]) -> None:
    """Create what is missing of constraints, and check that they are there.

    Args:
        session: A session.
        labels: Labels of the graph.

    Raises:
        GraphStoreError: If one of them is not there afterwards.
    """
    if missing_constraints(session, labels):
        # In one transaction: each is made durable when it is committed, and that is what takes its time.
        with session.begin_transaction() as work:
            for one in constraints(labels):
                work.run(
                    f"CREATE CONSTRAINT {one.name} IF NOT EXISTS FOR (n:{one.label})"
                    f" REQUIRE n.{one.key} IS UNIQUE"
                ).consume()
            work.commit()
        _complain_of(missing_constraints(session, labels))


def missing_constraints(session: Session, labels: Sequence[NodeLabel]) -> list[str]:
    """Which constraints are not there, as ``:Label(property)``."""
    unique = {
        (row["labelsOrTypes"][0], row["properties"][0])
        for row in session.run(
            "SHOW CONSTRAINTS YIELD labelsOrTypes, properties, type WHERE type CONTAINS"
            " 'UNIQUENESS' RETURN labelsOrTypes, properties"
        )
    }
    return [f":{one.label}({one.key})" for one in constraints(labels) if (one.label, one.key) not in unique]


def create_indexes(session: Session) -> None:
    """Create what is missing of indexes, wait for them and check that they are in use.

    Args:
        session: A session.

    Raises:
        GraphStoreError: If one of them is not in use afterwards.
    """
    if missing_indexes(session):
        with session.begin_transaction() as work:
            for name, target in _INDEXES.items():
                work.run(f"CREATE INDEX {name} IF NOT EXISTS FOR {target}").consume()
            work.commit()
        session.run(f"CALL db.awaitIndexes({_INDEXES_WITHIN_S})").consume()
        _complain_of(missing_indexes(session))


def create_live_indexes(session: Session, types: Collection[str]) -> None:
    """Create the indexes by which a load finds what was written since the snapshot, and wait for them.

    Args:
        session: A session.
        types: Types of relationships that come from events.
    """
    for label in ("Account", "Identifier", "Entity", "Verdict"):
        name = f"ringwatch_{label}_live".lower()
        session.run(f"CREATE INDEX {name} IF NOT EXISTS FOR (n:{label}) ON (n.live_seq)").consume()
    for kind in sorted(types):
        name = f"ringwatch_type_{kind}_live".lower()
        session.run(f"CREATE INDEX {name} IF NOT EXISTS FOR ()-[x:{kind}]-() ON (x.live_seq)").consume()
    session.run(f"CALL db.awaitIndexes({_INDEXES_WITHIN_S})").consume()


def missing_indexes(session: Session) -> list[str]:
    """Names of indexes that are not there, or not in use."""
    state = {
        row["name"]: row["state"] for row in session.run("SHOW INDEXES YIELD name, state RETURN name, state")
    }
    return [name for name in _INDEXES if state.get(name) != "ONLINE"]


def _complain_of(missing: Sequence[str]) -> None:
    if missing:
        message = f"constraints or indexes are missing: {', '.join(missing)}; drop what stands in their way"
        raise GraphStoreError(message)


def contents_of(tables: GraphTables) -> dict[str, list[str]]:
    """What a database that holds a snapshot says of its labels, for those who look for all of it.

    Args:
        tables: Tables of the snapshot.

    Returns:
        Labels of nodes, types of relationships and properties of attributes, by property of the state.
    """
    columns = tables.nodes(0, np.empty(0, np.int32)).columns
    return {
        "load_labels": [label.label for label in tables.labels],
        "load_types": list(dict.fromkeys(table.type for table in tables.relationship_tables)),
        "load_attributes": [name for name in columns if name.startswith("attr_")],
    }


def read_state(session: Session) -> dict[str, Any] | None:
    """What the database says that it holds.

    Args:
        session: A session.

    Returns:
        Properties of the ``:RingwatchState`` node; None if there is none. ``format``, ``data`` (name of the
        data set), ``key_fingerprint``, ``snapshot`` (id of the snapshot that it holds whole; absent until the
        first load is done), ``loading`` (id of the snapshot that is being loaded over it; absent otherwise),
        and what other writers add under names of their own.
    """
    record = session.run(
        "MATCH (s:RingwatchState {name: $name}) RETURN properties(s) AS state", name=STATE
    ).single()
    return None if record is None else dict(record["state"])


def check_owner(
    session: Session, target: Target, data: str, key_fingerprint: str | None
) -> dict[str, Any] | None:
    """Refuse a database that holds something else than this graph.

    Args:
        session: A session.
        target: The database, for the message.
        data: Name of the data set.
        key_fingerprint: Which key its identifiers are hashed with.

    Returns:
        The database's state, None if it is empty.

    Raises:
        GraphStoreError: If it holds somebody else's nodes, another data set, identifiers hashed with another
            key, or a graph of another version's format.
    """
    state = read_state(session)
    if state is None:
        other = session.run("MATCH (n) WITH n LIMIT 1 RETURN labels(n) AS labels").single()
        if other is None:
            return None
        labels = ":".join(other["labels"]) or "no label"
        message = (
            f"{target.shown}: holds somebody else's data (a node with {labels}); Ringwatch writes only into"
            " an empty database or its own: name another with NEO4J_DATABASE"
        )
        raise GraphStoreError(message)
    for what, there, here in (
        ("format", state.get("format"), FORMAT),
        ("data set", state.get("data"), data),
        ("hash key", state.get("key_fingerprint"), key_fingerprint),
    ):
        if there != here:
            message = (
                f"{target.shown}: holds a graph of another {what} ({there}, this is {here});"
                " name another database with NEO4J_DATABASE, or empty this one"
            )
            raise GraphStoreError(message)
    return state
