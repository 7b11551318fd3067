"""What Neo4j answers with, for people and for JSON."""

from typing import Any

_SHOWN = 10


def plain(value: Any) -> Any:
    """Return a value in types that JSON has.

    Args:
        value: As the driver gives it.

    Returns:
        A node as ``labels`` and ``properties``, a relationship as ``type``, its ends' ids in the database and
        ``properties``, a path as ``nodes`` and ``relationships``, a time in ISO 8601.
    """
    from neo4j.graph import Node, Path, Relationship

    if isinstance(value, Node):
        return {
            "id": value.element_id,
            "labels": sorted(value.labels),
            "properties": {name: plain(one) for name, one in value.items()},
        }
    if isinstance(value, Relationship):
        ends = [None if end is None else end.element_id for end in (value.start_node, value.end_node)]
        return {
            "type": value.type,
            "start": ends[0],
            "end": ends[1],
            "properties": {name: plain(one) for name, one in value.items()},
        }
    if isinstance(value, Path):
        return {
            "nodes": [plain(one) for one in value.nodes],
            "relationships": [plain(one) for one in value.relationships],
        }
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value.iso_format() if hasattr(value, "iso_format") else value


def shown(value: Any) -> Any:
    """Return a value as a table shows it: nodes and relationships by name, long lists cut with their length.

    Args:
        value: As the driver gives it.

    Returns:
        Numbers and text as they are, anything else as text.
    """
    from neo4j.graph import Node, Path, Relationship

    if isinstance(value, Node):
        named = value.get("id") or value.get("hash") or value.get("key") or ""
        kind = value.get("kind") or next(iter(sorted(value.labels)), "node").lower()
        return f"{kind} {named}".strip()
    if isinstance(value, Relationship):
        return value.type.lower()
    if isinstance(value, Path):
        steps = [shown(value.nodes[0])]
        for step, node in zip(value.relationships, value.nodes[1:], strict=True):
            steps += [shown(step), shown(node)]
        return " – ".join(steps)
    if isinstance(value, list):
        parts = [str(shown(one)) for one in value[:_SHOWN]]
        rest = [f"… {len(value):,} in all"] if len(value) > _SHOWN else []
        return ", ".join(parts + rest)
    return value.iso_format()[:19] + "Z" if hasattr(value, "iso_format") else value
