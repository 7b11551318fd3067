"""The Cypher of a load: what it reads and writes of nodes, relationships and verdicts, rows given as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_etl.neo4j_store.naming import NodeLabel

NODE_PROPERTIES: Final = {
    "first_ms": "first_seen",
    "last_ms": "last_seen",
    "verdict": "verdict",
    "kind": "kind",
    "value": "value",
    "accounts": "accounts",
    "hub": "hub",
    "hub_reason": "hub_reason",
}
"""Column of :meth:`GraphTables.nodes` and the property that it becomes; attributes keep their name."""

TIMES: Final = frozenset({"first_ms", "last_ms", "known_ms"})


def time_of(value: str) -> str:
    """A time of milliseconds as Cypher; null stays null."""
    return f"CASE WHEN {value} IS NULL THEN null ELSE datetime({{epochMillis: {value}}}) END"


def properties_of(columns: Sequence[str], first: int) -> dict[str, str]:
    """What properties are set to, where ``r`` is a row.

    Args:
        columns: Columns of the table, in the order of the row.
        first: Where the first of them stands in the row.

    Returns:
        Cypher by name of the property.
    """
    return {
        NODE_PROPERTIES.get(column, column): time_of(f"r[{at}]") if column in TIMES else f"r[{at}]"
        for at, column in enumerate(columns, first)
    }


def create_nodes(label: NodeLabel, columns: Sequence[str]) -> str:
    """Create nodes from rows of the key and columns."""
    said = ", ".join(f"{name}: {value}" for name, value in properties_of(columns, 1).items())
    return f"UNWIND $rows AS r CREATE (n{label.pattern} {{{label.key}: r[0], {said}}})"


def create_verdicts() -> str:
    """Create verdicts from rows of id, account, label, known_ms, reason, source, abuse_type, undoes."""
    return (
        "UNWIND $rows AS r MATCH (a:Account {id: r[1]}) CREATE (a)-[:HAS_VERDICT]->(:Verdict {id: r[0],"
        f" label: r[2], known_at: {time_of('r[3]')}, reason: r[4], source: r[5], abuse_type: r[6],"
        " undoes: r[7]})"
    )
