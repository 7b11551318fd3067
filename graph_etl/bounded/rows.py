"""Steps on the rows of parts: which are events of the graph, and which nodes they touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from graph_etl.bounded.exchange import bucket_of, partial_of, read_exchange, write_exchange
from graph_etl.bounded.nodes import indices, places
from graph_etl.bounded.run import DEGREE_BINS, Context, context_of, range_of_rows
from graph_etl.identity import first_with_name
from graph_etl.parts import pairs
from graph_etl.quarantine import Notes, gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl.plan import EventPlan

_DUPLICATE, _CONFLICT = 1, 2
QUARANTINES = ("staged", "unknown", "conflicts")
"""Quarantine of a part by how it came to be, in the order in which `build` gathers them."""


def _unknown_ends(
    context: Context, tables: list[tuple[int, EventPlan, pl.DataFrame]], unknown: NDArray[np.bool_]
) -> list[NDArray[np.bool_]]:
    """For each table of a part, ``bool[n]``: rows of accounts that no source of accounts lists."""
    listed = any(mapping.lists_accounts for mapping in context.plan.events)
    if context.plan.spec.unknown_accounts == "add" or not listed:
        return [np.zeros(len(rows), np.bool_) for _, _, rows in tables]
    flags = np.append(unknown, np.False_)
    return [flags[rows["src"].to_numpy()] | flags[rows["dst"].to_numpy()] for _, _, rows in tables]


def told(facts: str, number: int) -> dict[str, Any]:
    """Send what names each row of a part to where equal names meet.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The part.

    Returns:
        Nothing.
    """
    context = context_of(facts)
    n_buckets = int(context.facts["identity_buckets"])
    tables = context.tables(number)
    nodes, _ = places(context, number)
    rejected = _unknown_ends(context, tables, nodes["unknown"].to_numpy())
    frames = []
    start = 0
    for table, ((_, _, rows), out) in enumerate(zip(tables, rejected, strict=True)):
        named = rows.select("known_ms", "row", "identity_low", "identity_high", "content_low", "content_high")
        named = named.with_columns(
            pl.lit(table, dtype=pl.Int32).alias("table"),
            pl.int_range(start, start + len(rows), eager=True).alias("at"),
        )
        frames.append(named.filter(pl.Series(~out)))
        start += len(rows)
    whole = pl.concat(frames) if frames else pl.DataFrame(schema=_NAMED)
    to = bucket_of(whole["identity_low"], n_buckets)
    write_exchange(context.file("told", number), whole, to, n_buckets)
    return {}


_NAMED: dict[str, Any] = {
    "known_ms": pl.Int64,
    "row": pl.Int64,
    "identity_low": pl.UInt64,
    "identity_high": pl.UInt64,
    "content_low": pl.UInt64,
    "content_high": pl.UInt64,
    "table": pl.Int32,
    "at": pl.Int64,
}


def accepted(facts: str, number: int) -> dict[str, Any]:
    """Find the rows of a bucket that are there already, and those that say otherwise.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The bucket.

    Returns:
        Nothing.
    """
    context = context_of(facts)
    rows = read_exchange(context.files("told"), number, writer="part")
    rows = rows.sort("known_ms", "part", "row", "table", maintain_order=True)
    first = first_with_name(pairs(rows, "identity_low", "identity_high"))
    again = np.flatnonzero(first != np.arange(len(first)))
    content = pairs(rows, "content_low", "content_high")
    same = (content[again] == content[first[again]]).all(axis=1)
    lost = rows[again].select(
        "at", "part", pl.Series("status", np.where(same, _DUPLICATE, _CONFLICT), dtype=pl.Int8)
    )
    write_exchange(
        context.file("accepted", number), lost.drop("part"), lost["part"].to_numpy(), context.n_parts
    )
    return {}


class _Rows:
    """The rows of a part with what became of them."""

    def __init__(self, context: Context, number: int, unknown: NDArray[np.bool_]) -> None:
        self.tables = context.tables(number)
        self.unknown = _unknown_ends(context, self.tables, unknown)
        lost = read_exchange(context.files("accepted"), number)
        status = np.zeros(sum(len(rows) for _, _, rows in self.tables), np.int8)
        status[lost["at"].to_numpy()] = lost["status"].to_numpy()
        bounds = np.cumsum([len(rows) for _, _, rows in self.tables])
        self.status = np.split(status, bounds[:-1]) if len(bounds) else []
        self.kept = [
            ~unknown & (status == 0) for unknown, status in zip(self.unknown, self.status, strict=True)
        ]


def touched(facts: str, number: int) -> dict[str, Any]:
    """Say which nodes of a part the graph touches; write what of the part is left out.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The part.

    Returns:
        Accepted rows by range of position, duplicates by mapping.
    """
    context = context_of(facts)
    part = context.part(number)
    nodes, n_nodes = places(context, number)
    rows = _Rows(context, number, nodes["unknown"].to_numpy())
    used_nodes = np.zeros(n_nodes + 1, np.bool_)
    cuts = context.facts["row_cuts"]
    by_range = np.zeros(len(cuts) + 1, np.int64)
    duplicates: dict[str, int] = {}
    left: dict[str, list[pl.DataFrame]] = {name: [] for name in QUARANTINES}
    staged = part.table("quarantine")
    if staged is not None:
        left["staged"].append(staged.with_columns(pl.lit(part.file).alias("file")))
    for table, (ordinal, mapping, frame) in enumerate(rows.tables):
        kept = rows.kept[table]
        for end in ("src", "dst"):
            used_nodes[frame[end].to_numpy()[kept]] = True
        used = part.table(f"{mapping.name}.used")
        if used is not None:
            used_nodes[used["node"].to_numpy()[kept[used["at"].to_numpy()]]] = True
        row = frame["row"].to_numpy()
        at = np.full(int(kept.sum()), table, np.int32)
        ranges = range_of_rows(frame["known_ms"].to_numpy()[kept], number, row[kept], at, cuts)
        by_range += np.bincount(ranges, minlength=len(by_range))
        duplicates[str(ordinal)] = int((rows.status[table] == _DUPLICATE).sum())
        notes = Notes(part.source, mapping.name, part.file)
        left["unknown"].append(notes.rows(row[rows.unknown[table]], "account_unknown"))
        left["conflicts"].append(notes.rows(row[rows.status[table] == _CONFLICT], "event_id_conflict"))
    for name, tables in left.items():
        lost = gathered(tables) if name != "staged" else pl.concat(tables) if tables else gathered([])
        if len(lost):
            path = context.folder / "quarantine" / f"{number:06d}.{name}.parquet"
            path.parent.mkdir(exist_ok=True)
            partial = partial_of(path)
            lost.write_parquet(partial)
            partial.replace(path)
    found = nodes.filter(pl.Series(used_nodes[:-1]))
    to = found["range"].to_numpy()
    write_exchange(
        context.file("touched", number), found.select("place"), to, len(context.facts["node_cuts"]) + 1
    )
    return {"by_range": by_range.tolist(), "duplicates": duplicates}


def located(facts: str, number: int) -> dict[str, Any]:
    """Send the events of a part, between indices of nodes, to their ranges of position.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The part.

    Returns:
        How often nodes are ends, in bins of their indices.
    """
    context = context_of(facts)
    part = context.part(number)
    nodes, _ = places(context, number)
    rows = _Rows(context, number, nodes["unknown"].to_numpy())
    index = indices(context, number)
    n_nodes = max(1, sum(context.facts["by_kind"]))
    degrees = np.zeros(DEGREE_BINS, np.int64)
    types = context.types
    cuts = context.facts["row_cuts"]
    frames, ranges = [], []
    for table, (_, mapping, frame) in enumerate(rows.tables):
        kept = rows.kept[table]
        place = np.array(
            [types.index(name) for name in part.meta["mappings"][mapping.name]["types"]], np.int16
        )
        here = frame.filter(pl.Series(kept))
        uses = _uses(part.table(f"{mapping.name}.used"), kept, index)
        events = pl.DataFrame(
            {
                "known_ms": here["known_ms"],
                "row": here["row"],
                "table": np.full(len(here), table, np.int32),
                "time_ms": here["time_ms"],
                "type": place[here["type"].to_numpy()],
                "src": index[here["src"].to_numpy()],
                "dst": index[here["dst"].to_numpy()],
                "value": here["value"],
                "lists": np.full(len(here), mapping.lists_accounts),
                "used": uses,
            }
        )
        said = part.table(f"{mapping.name}.attributes") if mapping.attributes else None
        events = _with_attributes(context, events, None if said is None else said.filter(pl.Series(kept)))
        for ends in (events["src"], events["dst"], uses.explode().drop_nulls()):
            at = ends.to_numpy().astype(np.int64)
            degrees += np.bincount(at[at >= 0] * DEGREE_BINS // n_nodes, minlength=DEGREE_BINS)
        frames.append(events)
        ranges.append(
            range_of_rows(
                events["known_ms"].to_numpy(),
                number,
                events["row"].to_numpy(),
                events["table"].to_numpy(),
                cuts,
            )
        )
    empty = _with_attributes(context, pl.DataFrame(schema=EVENT_SCHEMA), None)
    write_exchange(
        context.file("located", number),
        pl.concat([empty, *frames]),
        np.concatenate([np.zeros(0, np.int64), *ranges]),
        len(cuts) + 1,
    )
    return {"degrees": degrees.tolist()}


EVENT_SCHEMA: dict[str, Any] = {
    "known_ms": pl.Int64,
    "row": pl.Int64,
    "table": pl.Int32,
    "time_ms": pl.Int64,
    "type": pl.Int16,
    "src": pl.Int32,
    "dst": pl.Int32,
    "value": pl.Float32,
    "lists": pl.Boolean,
    "used": pl.List(pl.Int32),
}


def _uses(used: pl.DataFrame | None, kept: NDArray[np.bool_], index: NDArray[np.int32]) -> pl.Series:
    """For each row that is kept, the identifiers that it used, each once, in the order of their indices."""
    counts = np.zeros(int(kept.sum()), np.int64)
    nodes = np.zeros(0, np.int32)
    if used is not None:
        place = np.cumsum(kept) - 1
        at, node = used["at"].to_numpy(), index[used["node"].to_numpy()]
        inside = kept[at]
        at, node = place[at[inside]], node[inside]
        order = np.lexsort((node, at))
        at, node = at[order], node[order]
        first = np.ones(len(at), np.bool_)
        first[1:] = (at[1:] != at[:-1]) | (node[1:] != node[:-1])
        nodes = node[first]
        counts = np.bincount(at[first], minlength=len(counts))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(nodes, pa.int32()))
    return pl.Series("used", pl.from_arrow(lists), pl.List(pl.Int32))


def _with_attributes(context: Context, events: pl.DataFrame, said: pl.DataFrame | None) -> pl.DataFrame:
    columns = []
    for name, type_ in context.facts["attributes"]:
        dtype = pl.String() if type_ == "category" else pl.Float64()
        if said is not None and name in said.columns:
            columns.append(said[name].cast(dtype).alias(f"attribute:{name}"))
        else:
            columns.append(pl.Series(f"attribute:{name}", [None], dtype).new_from_index(0, len(events)))
    return events.with_columns(columns)
