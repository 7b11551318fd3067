"""The Cypher of a load: nodes, relationships and verdicts from rows that are lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from graph_etl.neo4j_store.naming import NodeLabel

PROPERTIES: Final = {
    "first_ms": "first_seen",
    "last_ms": "last_seen",
    "known_ms": "known_at",
}
"""Property that a column becomes; the others keep their names."""

VERDICT_COLUMNS: Final = ("label", "known_ms", "reason", "source", "abuse_type", "undoes")


FOUND: Final = "RETURN collect(r[0]), collect(id(n))"
"""Places of rows and ids of their nodes, as two lists: a record a node costs the client many times more."""


def create_nodes(label: NodeLabel, columns: Sequence[str]) -> str:
    """Create nodes.

    Args:
        label: How they are labelled.
        columns: Columns that become properties.

    Returns:
        Cypher; rows are place, key and columns; :data:`FOUND` comes back.
    """
    said = _properties([label.key, *columns], 1, columns)
    return f"UNWIND $rows AS r CREATE (n{label.pattern} {{{said}}}) {FOUND}"


def update_nodes(label: NodeLabel, columns: Sequence[str]) -> str:
    """Set properties of nodes; rows are id and columns."""
    also = "" if label.also is None else f"n:{label.also}, "
    return (
        f"UNWIND $rows AS r MATCH (n) WHERE id(n) = r[0] AND n:{label.label}"
        f" SET {also}{_set('n', columns)}, n.live_seq = null RETURN count(*)"
    )


def find_nodes(label: NodeLabel) -> str:
    """Look nodes up; rows are place and key; :data:`FOUND` comes back."""
    return f"UNWIND $rows AS r MATCH (n:{label.label} {{{label.key}: r[1]}}) {FOUND}"


def create_relationships(kind: str, columns: Sequence[str], nullable: Collection[str]) -> str:
    """Create relationships, those to one node together.

    Args:
        kind: Their type.
        columns: Columns that become properties.
        nullable: Those of them that may be null.

    Returns:
        Cypher; rows are the id of the end and a list of rows: id of the start, columns.
    """
    # By groups: the end, which may be a hub, is looked up and locked once.
    return (
        "UNWIND $rows AS g MATCH (b) WHERE id(b) = g[0] UNWIND g[1] AS r MATCH (a) WHERE id(a) = r[0]"
        f" CREATE (a)-[:{kind} {{{_properties(columns, 1, nullable)}}}]->(b) RETURN count(*)"
    )


def update_relationships(kind: str, columns: Sequence[str]) -> str:
    """Set properties of relationships; rows as for :func:`create_relationships`."""
    return f"{_related(kind)} SET {_set('x', columns)}, x.live_seq = null RETURN count(*)"


def delete_relationships(kind: str) -> str:
    """Delete relationships; rows as for :func:`create_relationships`, without columns."""
    return f"{_related(kind)} DELETE x RETURN count(*)"


DELETE_BY_ID: Final = "UNWIND $rows AS r MATCH ()-[x]->() WHERE id(x) = r DELETE x RETURN count(*)"
"""Delete relationships by their ids in the database."""

DELETE_NODES: Final = "UNWIND $rows AS r MATCH (n) WHERE id(n) = r DETACH DELETE n RETURN count(*)"
"""Delete nodes by their ids in the database."""

THIN_OUT: Final = (
    "MATCH (n) WHERE id(n) = $node MATCH (n)-[x]-() WITH DISTINCT x LIMIT $limit DELETE x RETURN count(*)"
)
"""Delete some of a node's relationships."""

SET_VERDICTS: Final = (
    "UNWIND $rows AS r MATCH (a:Account {id: r[1]}) MERGE (v:Verdict {id: r[0]})"
    " SET v.label = r[2], v.known_at = CASE WHEN r[3] IS NULL THEN null"
    " ELSE datetime({epochMillis: r[3]}) END, v.reason = r[4], v.source = r[5], v.abuse_type = r[6],"
    " v.undoes = r[7], v.live_seq = null MERGE (a)-[:HAS_VERDICT]->(v) RETURN count(*)"
)
"""Create verdicts; rows are id, account and :data:`VERDICT_COLUMNS`."""

DELETE_VERDICTS: Final = "UNWIND $rows AS r MATCH (v:Verdict) WHERE id(v) = r DETACH DELETE v RETURN count(*)"
"""Delete verdicts by their ids in the database."""


def read_time(value: str) -> str:
    """A time as milliseconds; what is no time in UTC comes as a text, so that it differs from every time."""
    return (
        f"CASE WHEN {value} IS NULL THEN null WHEN {value} IS :: ZONED DATETIME AND {value}.offsetSeconds = 0"
        f" THEN {value}.epochMillis ELSE 'no time' END"
    )


def read_columns(variable: str, columns: Sequence[str]) -> str:
    """The properties of a node or relationship, in the order of columns."""
    return ", ".join(
        read_time(f"{variable}.{PROPERTIES[name]}") if name in PROPERTIES else f"{variable}.{name}"
        for name in columns
    )


def _related(kind: str) -> str:
    return (
        "UNWIND $rows AS g MATCH (b) WHERE id(b) = g[0] UNWIND g[1] AS r MATCH (a) WHERE id(a) = r[0]"
        f" MATCH (a)-[x:{kind}]->(b)"
    )


def _value(name: str, at: int, nullable: Collection[str]) -> str:
    if name not in PROPERTIES:
        return f"r[{at}]"
    time = f"datetime({{epochMillis: r[{at}]}})"
    return f"CASE WHEN r[{at}] IS NULL THEN null ELSE {time} END" if name in nullable else time


def _properties(columns: Sequence[str], first: int, nullable: Collection[str]) -> str:
    return ", ".join(
        f"{PROPERTIES.get(name, name)}: {_value(name, at, nullable)}"
        for at, name in enumerate(columns, first)
    )


def _set(variable: str, columns: Sequence[str]) -> str:
    return ", ".join(
        f"{variable}.{PROPERTIES.get(name, name)} = {_value(name, at, columns)}"
        for at, name in enumerate(columns, 1)
    )
