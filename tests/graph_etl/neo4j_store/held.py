"""Reads all that a small database holds, for comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graph_etl.neo4j_store import connect, session

if TYPE_CHECKING:
    from graph_etl.neo4j_store import Target

_NAME = "coalesce(%s.id, %s.hash, %s.key)"


def ask(target: Target, query: str, **parameters: Any) -> list[list[Any]]:
    """Run a query.

    Args:
        target: The database.
        query: Cypher.
        **parameters: Its parameters.

    Returns:
        Its rows.
    """
    with connect(target) as driver, session(driver, target) as opened:
        return opened.run(query, parameters).values()


def held(target: Target) -> tuple[list[str], list[str]]:
    """All nodes and relationships but those of the bookkeeping.

    Args:
        target: The database.

    Returns:
        A line for each node and each relationship, in order.
    """
    nodes = ask(
        target,
        "MATCH (n) WHERE NOT n:RingwatchState AND NOT n:RingwatchCheckpoint RETURN labels(n), properties(n)",
    )
    start, end = _NAME.replace("%s", "a"), _NAME.replace("%s", "b")
    relationships = ask(
        target, f"MATCH (a)-[r]->(b) RETURN {start}, labels(a), type(r), properties(r), {end}, labels(b)"
    )
    return sorted(map(_line, nodes)), sorted(map(_line, relationships))


def _line(row: list[Any]) -> str:
    return repr(
        [
            {name: str(part) for name, part in sorted(value.items())}
            if isinstance(value, dict)
            else sorted(value)
            if isinstance(value, list)
            else value
            for value in row
        ]
    )
