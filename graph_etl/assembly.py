"""From staged parts to the tables of a snapshot. The same parts give the same tables, bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.accounts import account_attributes, account_times
from graph_etl.content import content_hash
from graph_etl.cuts import Known, find_cuts
from graph_etl.errors import RingwatchError
from graph_etl.events import (
    Edges,
    EventRows,
    accept,
    interaction_edges,
    touched_nodes,
    used_edges,
)
from graph_etl.hubs import Contacts, find_hubs
from graph_etl.nodes import ACCOUNT, NamedNodes, lay_out, named_nodes
from graph_etl.parts import Part, pairs
from graph_etl.plan import EventPlan, Plan
from graph_etl.quarantine import Notes, gathered
from graph_etl.report import SourceCount
from graph_etl.snapshot_writer import RelationEdges, SnapshotTables
from graph_etl.spec import JOURNAL
from graph_etl.staged_events import content_identities
from graph_etl.targets import find_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from graph_etl.snapshot import Snapshot


# Each type is a relation with tables of its own; a column of free text would make thousands.
_MOST_TYPES = 256


class TooManyTypes(RingwatchError):
    """Columns that should name types of events hold too many values."""


@dataclass(frozen=True, slots=True)
class EventTable:
    """One table of events of one part.

    Attributes:
        part: The part.
        part_at: Its ordinal among all parts.
        mapping: The mapping.
        mapping_at: Its ordinal in the plan.
        start: Number of event rows in the tables before it.
        n_rows: Number of its rows.
    """

    part: Part
    part_at: int
    mapping: EventPlan
    mapping_at: int
    start: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class Assembled:
    """A snapshot's tables and how the rows came to be in them.

    Attributes:
        tables: What to write.
        counts: Where the rows of each mapping went.
        quarantine: What is left out.
        rank: ``int32[N]``, place of each node by kind and key, -1 for nodes that nothing touches any more.
        content_hash: Hash of the content.
    """

    tables: SnapshotTables
    counts: tuple[SourceCount, ...]
    quarantine: pl.DataFrame
    rank: NDArray[np.int32]
    content_hash: str


def assemble(
    plan: Plan,
    parts: Sequence[Part],
    previous: Snapshot | None,
    *,
    seed: int = 0,
    tombstone: Callable[[int], str] | None = None,
) -> Assembled:
    """Merge parts.

    Args:
        plan: The plan.
        parts: All parts, by source, file and fingerprint.
        previous: The snapshot whose indices stay as they are.
        seed: Deals the folds.
        tombstone: Renames nodes of the previous snapshot that nothing touches any more.

    Returns:
        The tables and the counts.
    """
    named = named_nodes([part.nodes() for part in parts])
    events, tables, types = _event_rows(plan, parts, named)
    unknown = _of_unknown_accounts(plan, named, events)
    live = _live(tables, events)
    accepted = accept(events, unknown, live)
    touched = touched_nodes(events, accepted, len(named.kind))
    layout = lay_out(named, touched, plan.kinds, previous, tombstone)
    noted = [_noted(tables, events, np.flatnonzero(unknown), "account_unknown")]
    noted.append(_noted(tables, events, accepted.conflicts, "event_id_conflict"))
    interactions = interaction_edges(events, accepted, layout.index)
    used = used_edges(events, accepted, layout.index, layout.kind, layout.rank)
    relations = _relations(plan, interactions, used, types)
    time_ms, known_ms = events.time_ms[accepted.rows], events.known_ms[accepted.rows]
    times = account_times(plan, events, accepted, tables, layout)
    attributes, values = account_attributes(plan, events, accepted, tables, layout, times.first_pos, previous)
    node_account = np.full(len(layout.kind), -1, np.int32)
    node_account[layout.account_node] = np.arange(len(layout.account_node), dtype=np.int32)
    targets = find_targets(plan, parts, named, layout, node_account, times.first_seen_ms, seed)
    cuts, uncut = find_cuts(plan, parts, named, layout, node_account, Known(events, accepted, live))
    hubs = find_hubs(
        _contacts(len(plan.kinds), relations, layout.kind),
        kinds=plan.kinds,
        node_keys=layout.key,
        account_pos=times.first_pos,
        known_ms=known_ms,
    )
    quarantine = gathered([*_staged_quarantine(parts), *noted, *targets.quarantine, *uncut])
    snapshot = SnapshotTables(
        name=plan.spec.name,
        kinds=plan.kinds,
        node_kind=layout.kind,
        node_keys=layout.key.to_arrow(),
        account_node=layout.account_node,
        node_names=layout.names[:, 0],
        first_seen_ms=times.first_seen_ms,
        last_seen_ms=times.last_seen_ms,
        first_pos=times.first_pos,
        event_time_ms=time_ms,
        event_known_ms=known_ms,
        event_type=events.type[accepted.rows],
        event_types=types,
        relations=relations,
        attributes=attributes,
        attribute_values=values,
        hub_since=hubs.since,
        hubs=hubs.table,
        verdicts=targets.verdicts,
        cuts=cuts,
        groups=targets.groups,
        folds=targets.folds,
        splits=targets.splits,
        quarantine=quarantine,
        manifest={"fold_policy": targets.fold_policy, "timed": plan.timed},
    )
    duplicates = _by_mapping(plan, tables, accepted.duplicates) + targets.duplicates
    counts = counted(plan, parts, quarantine, duplicates)
    return Assembled(snapshot, counts, quarantine, layout.rank, content_hash(snapshot, layout.rank))


def _event_rows(
    plan: Plan, parts: Sequence[Part], named: NamedNodes
) -> tuple[EventRows, list[EventTable], list[str]]:
    found = [
        (at, part, ordinal, mapping)
        for at, part in enumerate(parts)
        for ordinal, mapping in plan.of_source(part.source)
        if isinstance(mapping, EventPlan)
    ]
    types = event_types(plan, parts)
    columns: dict[str, list[NDArray[Any]]] = {}
    tables: list[EventTable] = []
    part_numbers: dict[int, int] = {}
    start = 0
    for part_at, part, ordinal, mapping in found:
        rows = part.table(f"{mapping.name}.rows")
        n_rows = 0 if rows is None else len(rows)
        if rows is None:
            continue
        place = np.append(named.of_part[part_at], np.int32(-1))
        type_place = np.array(
            [types.index(name) for name in part.meta["mappings"][mapping.name]["types"]], np.int16
        )
        number = part_numbers.setdefault(part_at, len(part_numbers))
        used = part.table(f"{mapping.name}.used")
        staged: dict[str, NDArray[Any]] = {
            "table": np.full(n_rows, len(tables), np.int32),
            "part": np.full(n_rows, number, np.int32),
            "row": rows["row"].to_numpy(),
            "time_ms": rows["time_ms"].to_numpy(),
            "known_ms": rows["known_ms"].to_numpy(),
            "type": type_place[rows["type"].to_numpy()],
            "src": place[rows["src"].to_numpy()],
            "dst": place[rows["dst"].to_numpy()],
            "value": rows["value"].to_numpy(),
            "identity": pairs(rows, "identity_low", "identity_high"),
            "content": pairs(rows, "content_low", "content_high"),
        }
        if used is not None:
            staged |= {"used_row": used["at"].to_numpy() + start, "used_node": place[used["node"].to_numpy()]}
        for name, array in staged.items():
            columns.setdefault(name, []).append(array)
        tables.append(EventTable(part, part_at, mapping, ordinal, start, n_rows))
        start += n_rows
    joined = _joined(columns)
    _count_over_pages(plan, tables, joined)
    return joined, tables, types


def _count_over_pages(plan: Plan, tables: Sequence[EventTable], events: EventRows) -> None:
    """Make the pages of one answer one file: rows that say the same in two of them are two events."""
    answers: dict[int, list[EventTable]] = {}
    for table in tables:
        source = plan.spec.sources.get(table.part.source)
        if source is not None and source.cypher is not None:
            answers.setdefault(table.mapping_at, []).append(table)
    for pages in answers.values():
        if len(pages) == 1:
            continue
        mapping = pages[0].mapping
        places = [np.arange(page.start, page.start + page.n_rows) for page in pages]
        staged = np.concatenate([content_identities(mapping, events.content[place]) for place in places])
        rows = np.concatenate(places)
        # Rows with an event id of their own are named by it.
        unnamed = (events.identity[rows] == staged).all(axis=1)
        events.identity[rows[unnamed]] = content_identities(mapping, events.content[rows])[unnamed]


def _joined(columns: dict[str, list[NDArray[Any]]]) -> EventRows:
    kinds: dict[str, tuple[tuple[int, ...], Any]] = {
        "table": ((0,), np.int32),
        "part": ((0,), np.int32),
        "row": ((0,), np.int64),
        "time_ms": ((0,), np.int64),
        "known_ms": ((0,), np.int64),
        "type": ((0,), np.int16),
        "src": ((0,), np.int32),
        "dst": ((0,), np.int32),
        "value": ((0,), np.float32),
        "identity": ((0, 2), np.uint64),
        "content": ((0, 2), np.uint64),
        "used_row": ((0,), np.int64),
        "used_node": ((0,), np.int32),
    }
    joined: dict[str, NDArray[Any]] = {}
    for name, (shape, kind) in kinds.items():
        arrays = columns.pop(name, [])
        joined[name] = (
            arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(shape, kind), *arrays], dtype=kind)
        )
    return EventRows(**joined)


def event_types(plan: Plan, parts: Sequence[Part]) -> list[str]:
    """All types, in the order of the mappings, then by name.

    Args:
        plan: The plan.
        parts: All parts.

    Returns:
        Names.

    Raises:
        TooManyTypes: If columns that should name types hold free text.
    """
    types: dict[str, None] = {}
    for mapping in plan.events:
        found = {mapping.type} if isinstance(mapping.type, str) else set()
        for part in parts:
            found |= set(part.meta["mappings"].get(mapping.name, {}).get("types", ()))
        if len(found) > _MOST_TYPES:
            columns = ", ".join(mapping.type)
            message = (
                f"{mapping.name}: {columns} give {len(found):,} types of events, more than {_MOST_TYPES};"
                " name fewer columns in its `type`"
            )
            raise TooManyTypes(message)
        types |= dict.fromkeys(sorted(found))
    return list(types)


def _live(tables: Sequence[EventTable], events: EventRows) -> NDArray[np.bool_]:
    """``bool[R]``: which rows are of the journal."""
    of_table = np.array([table.part.source == JOURNAL for table in tables], np.bool_)
    return of_table[events.table] if len(tables) else np.zeros(0, np.bool_)


def _of_unknown_accounts(plan: Plan, named: NamedNodes, events: EventRows) -> NDArray[np.bool_]:
    listed = any(mapping.lists_accounts for mapping in plan.events)
    if plan.spec.unknown_accounts == "add" or not listed:
        return np.zeros(len(events.row), np.bool_)
    unknown = np.append((named.kind == ACCOUNT) & ~named.declared, np.False_)
    rejected: NDArray[np.bool_] = unknown[events.src] | unknown[events.dst]
    return rejected


def _relations(plan: Plan, interactions: Edges, used: Edges, types: list[str]) -> list[RelationEdges]:
    relations = []
    kinds = plan.identifier_kinds
    for kind, edges in zip(kinds, used.of(kinds), strict=True):
        name = f"used:{plan.kinds[kind].name}"
        relations.append(RelationEdges(name, True, True, "one", edges.src, edges.dst, edges.pos, edges.value))
    of_type = {mapping.type: mapping for mapping in _interactions(plan) if isinstance(mapping.type, str)}
    spread = [mapping for mapping in _interactions(plan) if not isinstance(mapping.type, str)]
    for name, edges in zip(types, interactions.of(range(len(types))), strict=True):
        mapping = of_type.get(name) or (spread[0] if spread and len(edges.src) else None)
        if mapping is None:
            continue
        relations.append(
            RelationEdges(
                name, False, mapping.directed, mapping.value, edges.src, edges.dst, edges.pos, edges.value
            )
        )
    return relations


def _interactions(plan: Plan) -> list[EventPlan]:
    """Mappings with two ends; the first that gives a type says how the relation is read."""
    return [mapping for mapping in plan.events if mapping.dst is not None][::-1]


def _contacts(
    n_kinds: int, relations: Sequence[RelationEdges], node_kind: NDArray[np.int16]
) -> list[Contacts]:
    n_nodes = len(node_kind)
    touches: dict[int, list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]]] = {}
    for edges in relations:
        for one, other in ((edges.src, edges.dst), (edges.dst, edges.src)):
            by_account = (node_kind[other] == ACCOUNT) & (one != other)
            for kind in range(n_kinds):
                at = np.flatnonzero(by_account & (node_kind[one] == kind))
                if len(at):
                    touches.setdefault(kind, []).append((one[at], other[at], edges.pos[at]))
    found = []
    for kind, tables in sorted(touches.items()):
        node, account, pos = (np.concatenate(columns) for columns in zip(*tables, strict=True))
        order = np.lexsort((account, node, pos))
        node, account, pos = node[order], account[order], pos[order]
        _, first = np.unique(node.astype(np.int64) * n_nodes + account, return_index=True)
        first.sort()
        found.append(Contacts.of(kind, node[first], account[first], pos[first]))
    return found


def _noted(
    tables: Sequence[EventTable], events: EventRows, rows: NDArray[np.int64], reason: str
) -> pl.DataFrame:
    noted = []
    for number, table in enumerate(tables):
        of_table = rows[events.table[rows] == number]
        notes = Notes(table.part.source, table.mapping.name, table.part.file)
        noted.append(notes.rows(events.row[of_table], reason))
    return gathered(noted)


def _staged_quarantine(parts: Sequence[Part]) -> list[pl.DataFrame]:
    found = []
    for part in parts:
        table = part.table("quarantine")
        if table is not None:
            found.append(table.with_columns(pl.lit(part.file).alias("file")))
    return found


def _by_mapping(plan: Plan, tables: Sequence[EventTable], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.zeros(len(plan.mappings), np.int64)
    starts = np.array([table.start for table in tables] or [0])
    of_table = np.bincount(np.searchsorted(starts, rows, side="right") - 1, minlength=len(starts))
    for table, count in zip(tables, of_table, strict=False):
        counts[table.mapping_at] += count
    return counts


def counted(
    plan: Plan, parts: Sequence[Part], quarantine: pl.DataFrame, duplicates: NDArray[np.int64]
) -> tuple[SourceCount, ...]:
    """Count where the rows of each mapping went.

    Args:
        plan: The plan.
        parts: All parts.
        quarantine: What is left out.
        duplicates: ``int64[n_mappings]``, rows that were there already.

    Returns:
        Counts that add up, one a mapping.
    """
    by_reason: dict[tuple[str, str], dict[str, int]] = {}
    grouped = quarantine.group_by("mapping", "scope", "reason").len().sort("mapping", "scope", "reason")
    for mapping, scope, reason, count in grouped.iter_rows():
        by_reason.setdefault((mapping, scope), {})[reason] = count
    counts = []
    for ordinal, mapping in enumerate(plan.mappings):
        staged = [part.meta["mappings"][mapping.name] for part in parts if part.source == mapping.source]
        if mapping.source == JOURNAL and not staged:
            continue
        rows = sum(one["rows"] for one in staged)
        reasons = by_reason.get((mapping.name, "row"), {})
        lost, again = sum(reasons.values()), int(duplicates[ordinal])
        counts.append(
            SourceCount(
                mapping.source,
                mapping.name,
                rows,
                rows - lost - again,
                again,
                lost,
                reasons,
                by_reason.get((mapping.name, "cell"), {}),
            )
        )
    return tuple(counts)
