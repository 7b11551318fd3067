"""What a database shows, node by node and relationship by relationship, whatever its own ids are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graph_etl.neo4j_store import connect, session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graph_etl.neo4j_store import Target

Graph = tuple[dict[tuple[Any, ...], dict[str, str]], dict[tuple[Any, ...], dict[str, str]]]

_KEY = "coalesce({0}.id, {0}.hash, {0}.key)"


def shown(target: Target) -> Graph:
    """Read a whole database.

    Args:
        target: The database.

    Returns:
        Properties of nodes by labels and key, and of relationships by both ends and type; what only the
        loader and the follower need to know is left out. No key is there twice.
    """
    nodes: dict[tuple[Any, ...], dict[str, str]] = {}
    relationships: dict[tuple[Any, ...], dict[str, str]] = {}
    with connect(target) as driver, session(driver, target) as opened:
        for record in opened.run(
            "MATCH (n) WHERE NOT n:RingwatchState AND NOT n:RingwatchCheckpoint"
            f" RETURN labels(n) AS labels, {_KEY.format('n')} AS key, properties(n) AS said"
        ):
            name = (_sorted(record["labels"]), record["key"])
            assert name not in nodes
            nodes[name] = _said(record["said"])
        for record in opened.run(
            f"MATCH (a)-[x]->(b) RETURN labels(a) AS a, {_KEY.format('a')} AS start, type(x) AS type,"
            f" labels(b) AS b, {_KEY.format('b')} AS end, properties(x) AS said"
        ):
            ends = ((_sorted(record[one]), record[key]) for one, key in (("a", "start"), ("b", "end")))
            name = (record["type"], *ends)
            assert name not in relationships
            relationships[name] = _said(record["said"])
    return nodes, relationships


def differences(one: Graph, other: Graph, *, leave_out: Iterable[str] = ()) -> list[tuple[Any, ...]]:
    """What two databases do not have alike.

    Args:
        one: What one of them shows.
        other: What the other shows.
        leave_out: Properties that do not count.

    Returns:
        Its name and what each says of it, None where it is not there.
    """
    left_out = set(leave_out)

    def counted(said: dict[str, str] | None) -> dict[str, str] | None:
        return None if said is None else {key: said[key] for key in said.keys() - left_out}

    return [
        (name, first.get(name), second.get(name))
        for first, second in zip(one, other, strict=True)
        for name in sorted({*first, *second}, key=str)
        if counted(first.get(name)) != counted(second.get(name))
    ]


def _said(properties: Mapping[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in properties.items() if name != "live_seq"}


def _sorted(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(labels))
