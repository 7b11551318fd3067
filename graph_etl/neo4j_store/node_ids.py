"""Where the nodes of a snapshot are in the database: its own ids, the quickest way to a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from graph_etl.neo4j_store import statements
from graph_etl.neo4j_store.connection import session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neo4j import Driver, Session
    from numpy.typing import NDArray

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.naming import NodeLabel
    from graph_etl.neo4j_store.tables import GraphTables

_SOUGHT_AT_ONCE: Final = 10_000
_READ_AT_ONCE: Final = 100_000
# Reading all of a kind costs about a tenth, a node, of looking one up.
_SHARE_TO_READ_ALL: Final = 0.1

MISSING: Final = -1


class NodeIds:
    """Ids that the database has given to the nodes of a snapshot, looked up when they are first needed.

    Args:
        driver: From :func:`connect`.
        target: The database.
        tables: Tables of the snapshot.

    Attributes:
        ids: ``int64[N]``, :data:`MISSING` where not known.
    """

    def __init__(self, driver: Driver, target: Target, tables: GraphTables) -> None:
        self._driver = driver
        self._target = target
        self._tables = tables
        self.ids: NDArray[np.int64] = np.full(tables.snapshot.n_nodes, MISSING, np.int64)

    def of(self, nodes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Ids of some nodes.

        Args:
            nodes: ``int32[n]``, indices of the snapshot.

        Returns:
            ``int64[n]``, :data:`MISSING` for a node that the database does not have.
        """
        unknown = np.unique(nodes[self.ids[nodes] == MISSING])
        if len(unknown):
            kinds = np.asarray(self._tables.snapshot.node_kind)[unknown]
            with session(self._driver, self._target, fetch_size=_SOUGHT_AT_ONCE) as opened:
                for ordinal in np.unique(kinds).tolist():
                    self._look_up(opened, ordinal, unknown[kinds == ordinal])
        found: NDArray[np.int64] = self.ids[nodes]
        return found

    def _look_up(self, opened: Session, ordinal: int, unknown: NDArray[np.int32]) -> None:
        label = self._tables.labels[ordinal]
        of_kind = self._tables.nodes_of_kind(ordinal)
        if len(unknown) > max(_SHARE_TO_READ_ALL * len(of_kind), _SOUGHT_AT_ONCE):
            known = pl.DataFrame({"key": self._tables.keys(of_kind), "node": of_kind})
            read = opened.run(f"MATCH (n:{label.label}) RETURN n.{label.key}, id(n)")
            while rows := read.fetch(_READ_AT_ONCE):
                there = pl.DataFrame(
                    [tuple(row) for row in rows], schema={"key": pl.String, "id": pl.Int64}, orient="row"
                ).join(known, on="key")
                self.ids[there["node"].to_numpy()] = there["id"].to_numpy()
            return
        keys = self._tables.keys(unknown).to_list()
        places, found = find_by_key(opened, label, keys)
        self.ids[unknown[places]] = found


def find_by_key(opened: Session, label: NodeLabel, keys: Sequence[str]) -> tuple[list[int], list[int]]:
    """Look nodes up by their keys.

    Args:
        opened: A session.
        label: How they are labelled.
        keys: Their keys.

    Returns:
        Of those that are there, the places among the keys and the ids in the database.
    """
    query = statements.find_nodes(label)
    places: list[int] = []
    ids: list[int] = []
    for first in range(0, len(keys), _SOUGHT_AT_ONCE):
        rows = [[at, key] for at, key in enumerate(keys[first : first + _SOUGHT_AT_ONCE], first)]
        there = opened.run(query, rows=rows).single(strict=True)
        places += there[0]
        ids += there[1]
    return places, ids
