"""Which column of a table is which property in Neo4j: what checks compare and exports print."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graph_etl.neo4j_store.statements import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

_NO_PROPERTIES: Final = frozenset({"node", "key", "start", "end"})


class Field(NamedTuple):
    """A property and the column of a table that holds it.

    Attributes:
        column: Name of the column.
        name: Name of the property.
        type: What the column holds; times are Int64, milliseconds Unix time.
    """

    column: str
    name: str
    type: pl.DataType

    @property
    def is_time(self) -> bool:
        """Whether the database holds it as a time."""
        return self.column != self.name

    def shown(self, value: Any) -> Any:
        """A value as people read it: times in ISO 8601, the others as they are."""
        if self.is_time and isinstance(value, int):
            with suppress(OverflowError, ValueError, OSError):  # years that Python does not have
                return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
        return value


def fields_of(schema: Mapping[str, pl.DataType]) -> tuple[Field, ...]:
    """The properties of a table of nodes, relationships or verdicts.

    Args:
        schema: Type by name of its columns.

    Returns:
        One for each column that is neither a key nor an end of a relationship, in their order.
    """
    return tuple(
        Field(column, PROPERTIES.get(column, column), kind)
        for column, kind in schema.items()
        if column not in _NO_PROPERTIES
    )
