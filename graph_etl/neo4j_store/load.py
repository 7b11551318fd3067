"""Loading a snapshot into Neo4j: first load and increment on one path."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_etl.neo4j_store import schema, statements
from graph_etl.neo4j_store.connection import GraphStoreError, connect, in_plain_words, session
from graph_etl.neo4j_store.tables import GraphTables

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.snapshot import Snapshot
    from graph_etl.workspace import Workspace


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What a load does to one sort of thing.

    Attributes:
        created: New in the database.
        updated: There already, with other properties.
        deleted: Not in the snapshot any more.
        untouched: There already, as they should be.
    """

    created: int = 0
    updated: int = 0
    deleted: int = 0
    untouched: int = 0

    @property
    def changed(self) -> int:
        """How many are not as they were."""
        return self.created + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did, or would do.

    Attributes:
        snapshot: Id of the snapshot.
        base: What the change was worked out against: ``nothing``, ``database`` or the id of a snapshot.
        dry_run: Whether nothing was written.
        nodes: Accounts, identifiers and entities.
        relationships: What was used and interactions.
        verdicts: Verdicts.
        seconds: How long it took.
    """

    snapshot: str
    base: str
    dry_run: bool
    nodes: LoadCounts
    relationships: LoadCounts
    verdicts: LoadCounts
    seconds: float

    @property
    def changed(self) -> int:
        """How many nodes, relationships and verdicts are not as they were."""
        return self.nodes.changed + self.relationships.changed + self.verdicts.changed


def load(
    snapshot: Snapshot,
    workspace: Workspace,
    target: Target,
    *,
    repair: bool = False,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> LoadReport:
    """Make a database hold a snapshot.

    Args:
        snapshot: The snapshot.
        workspace: Holds the snapshot that the database holds now, if it is still there.
        target: The database.
        repair: Compare with what is in the database instead.
        dry_run: Say what would change and write nothing.
        progress: Told of each step, what is done and of how much.

    Returns:
        What was done.

    Raises:
        GraphStoreError: If the database cannot be used, or holds something else.
    """
    started = time.monotonic()
    tables = GraphTables(snapshot)
    tell = progress or (lambda step, done, total: None)
    with connect(target) as driver, session(driver, target) as opened, in_plain_words(target):
        manifest = snapshot.manifest
        state = schema.check_owner(opened, target, manifest["name"], manifest["key_fingerprint"])
        if state is not None and state.get("snapshot") == snapshot.id:
            none = LoadCounts()
            return LoadReport(snapshot.id, snapshot.id, dry_run, none, none, none, time.monotonic() - started)
        if state is not None:
            message = f"{target.shown}: holds a graph already; empty it first"
            raise GraphStoreError(message)
        schema.create_schema(opened, tables.labels)
        opened.run(
            "CREATE (:RingwatchState {name: $name, format: $format, data: $data,"
            " key_fingerprint: $key, loading: $snapshot})",
            name=schema.STATE,
            format=schema.FORMAT,
            data=manifest["name"],
            key=manifest["key_fingerprint"],
            snapshot=snapshot.id,
        ).consume()
        for ordinal, label in enumerate(tables.labels):
            nodes = tables.nodes(ordinal).drop("node")
            tell(f"nodes {label.label}", 0, len(nodes))
            for rows in nodes.iter_slices(10_000):
                opened.run(statements.create_nodes(label, nodes.columns[1:]), rows=rows.rows()).consume()
        keys = snapshot.node_keys
        n_relationships = 0
        for table in tables.relationship_tables:
            tell(f"relationships {table.type}", 0, table.relation.edges)
            for chunk in tables.relationships(table):
                kinds = snapshot.node_kind
                for start_kind in table.relation.from_kinds:
                    for end_kind in table.relation.to_kinds:
                        a, b = tables.labels[start_kind], tables.labels[end_kind]
                        start, end = chunk["start"].to_numpy(), chunk["end"].to_numpy()
                        some = chunk.filter((kinds[start] == start_kind) & (kinds[end] == end_kind))
                        for part in some.iter_slices(5_000):
                            rows = list(
                                zip(
                                    keys.take(part["start"].to_numpy()).to_pylist(),
                                    keys.take(part["end"].to_numpy()).to_pylist(),
                                    *(part[name].to_list() for name in part.columns[2:]),
                                    strict=True,
                                )
                            )
                            opened.run(
                                f"UNWIND $rows AS r MATCH (a:{a.label} {{{a.key}: r[0]}})"
                                f" MATCH (b:{b.label} {{{b.key}: r[1]}}) CREATE (a)-[:{table.type}"
                                f" {{first_seen: {statements.time_of('r[2]')}, last_seen:"
                                f" {statements.time_of('r[3]')}, count: r[4], amount: r[5]}}]->(b)",
                                rows=rows,
                            ).consume()
                            n_relationships += len(part)
        verdicts = tables.verdicts()
        for rows in verdicts.iter_slices(10_000):
            opened.run(statements.create_verdicts(), rows=rows.rows()).consume()
        opened.run(
            "MATCH (s:RingwatchState {name: $name}) SET s.snapshot = s.loading REMOVE s.loading",
            name=schema.STATE,
        ).consume()
    return LoadReport(
        snapshot.id,
        "nothing",
        dry_run,
        LoadCounts(created=snapshot.n_nodes),
        LoadCounts(created=n_relationships),
        LoadCounts(created=len(verdicts)),
        time.monotonic() - started,
    )
