"""Steps on nodes: each once over all parts, numbered by kind and key."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from graph_etl.bounded.exchange import bucket_of, read_batch, read_exchange, write_batches, write_exchange
from graph_etl.bounded.run import Context, context_of, range_of_keys
from graph_etl.nodes import ACCOUNT

_SAMPLE = 256


def sampled(facts: str, number: int) -> dict[str, Any]:
    """Count the nodes and rows of a part and draw keys and times at even distances.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The part.

    Returns:
        Counts and samples.
    """
    context = context_of(facts)
    write_batches(context.file("sampled", number), pl.DataFrame({"part": [number]}), np.array([0, 1]))
    nodes = context.part(number).nodes().select("kind", "key")
    every = max(1, len(nodes) // _SAMPLE)
    keys = nodes.gather_every(every).rows()
    rows: list[tuple[int, ...]] = []
    counts: dict[str, int] = {}
    for table, (ordinal, _, frame) in enumerate(context.tables(number)):
        counts[str(ordinal)] = len(frame)
        drawn = frame.select("known_ms", "row").gather_every(max(1, len(frame) // _SAMPLE))
        rows += [(known_ms, number, row, table) for known_ms, row in drawn.iter_rows()]
    return {"nodes": len(nodes), "keys": keys, "rows": rows, "tables": counts}


def aliased(facts: str, number: int) -> dict[str, Any]:
    """Send listed accounts, and ends that may be one, to where their aliases meet.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The part.

    Returns:
        Nothing.
    """
    context = context_of(facts)
    n_buckets = int(context.facts["alias_buckets"])
    nodes = context.part(number).nodes().with_row_index("local").with_columns(pl.col("local").cast(pl.Int64))
    meeting = nodes.filter(pl.col("declared") | pl.col("either")).drop("kind")
    to = bucket_of(meeting["alias_low"], n_buckets)
    write_exchange(context.file("aliased", number), meeting, to, n_buckets)
    return {}


def listed(facts: str, number: int) -> dict[str, Any]:
    """Say which ends are listed accounts.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The bucket of aliases.

    Returns:
        Nothing.
    """
    context = context_of(facts)
    met = read_exchange(context.files("aliased"), number, writer="part")
    alias = ["alias_low", "alias_high"]
    accounts = met.filter("declared").unique(alias, keep="first", maintain_order=True)
    found = met.filter("either").select("local", "part", *alias)
    found = found.join(accounts.select(*alias, "key", "low", "high"), on=alias, maintain_order="left")
    to = found["part"].to_numpy()
    write_exchange(context.file("listed", number), found.drop("part", *alias), to, context.n_parts)
    return {}


def _nodes(context: Context, number: int) -> pl.DataFrame:
    """The nodes of a part, with ends that are listed accounts as those."""
    nodes = context.part(number).nodes().select("kind", "key", "low", "high", "declared")
    if not context.plan.has_either:
        return nodes
    found = read_exchange(context.files("listed"), number)
    at = found["local"].to_numpy()
    if not len(at):
        return nodes
    return nodes.with_columns(
        nodes["kind"].scatter(at, np.full(len(at), ACCOUNT, np.int16)),
        nodes["key"].scatter(at, found["key"]),
        nodes["low"].scatter(at, found["low"]),
        nodes["high"].scatter(at, found["high"]),
    )


def named(facts: str, number: int) -> dict[str, Any]:
    """Send the nodes of a part to their ranges of kind and key.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The part.

    Returns:
        Nothing.
    """
    context = context_of(facts)
    nodes = _nodes(context, number)
    cuts = context.facts["node_cuts"]
    to = range_of_keys(nodes["kind"].to_numpy(), nodes["key"], cuts)
    nodes = nodes.with_row_index("local").with_columns(pl.col("local").cast(pl.Int64))
    write_exchange(context.file("named", number), nodes, to, len(cuts) + 1)
    return {}


def united(facts: str, number: int) -> dict[str, Any]:
    """Unite the nodes of a range; tell each part where in it its own nodes are.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The range.

    Returns:
        How many nodes there are.
    """
    context = context_of(facts)
    nodes = read_exchange(context.files("named"), number, writer="part")
    distinct = (
        nodes.group_by("kind", "key")
        .agg(pl.col("low", "high").first(), pl.col("declared").any())
        .sort("kind", "key")
        .with_row_index("place")
        .with_columns(pl.col("place").cast(pl.Int64))
    )
    told = nodes.select("local", "part", "kind", "key").join(
        distinct.select(
            "kind", "key", "place", ((pl.col("kind") == ACCOUNT) & ~pl.col("declared")).alias("unknown")
        ),
        on=["kind", "key"],
        maintain_order="left",
    )
    whole = distinct.select("kind", "key", "low", "high")
    write_batches(context.folder / "distinct" / f"{number:06d}.arrow", whole, np.array([0, len(whole)]))
    write_exchange(
        context.file("united", number),
        told.select("local", "place", "unknown"),
        told["part"].to_numpy(),
        context.n_parts,
    )
    return {"nodes": len(whole)}


def places(context: Context, number: int) -> tuple[pl.DataFrame, int]:
    """Where the nodes of a part are.

    Args:
        context: The merge.
        number: The part.

    Returns:
        ``range``, ``place`` in it and ``unknown`` in the order of the part's own numbers; and how many.
    """
    told = read_exchange(context.files("united"), number, writer="range").sort("local")
    return told, len(told)


def numbered(facts: str, number: int) -> dict[str, Any]:
    """Number the nodes of a range that the graph touches, and tell each part.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The range.

    Returns:
        How many nodes of each kind the graph touches.
    """
    context = context_of(facts)
    distinct = read_batch(context.folder / "distinct" / f"{number:06d}.arrow", 0)
    touched = np.zeros(len(distinct), np.bool_)
    for path in context.files("touched"):
        touched[read_batch(path, number)["place"].to_numpy()] = True
    index = np.full(len(distinct), -1, np.int64)
    index[touched] = np.arange(int(touched.sum()))
    nodes = distinct.filter(pl.Series(touched))
    write_batches(context.folder / "nodes" / f"{number:06d}.arrow", nodes, np.array([0, len(nodes)]))
    told = []
    bounds = [0]
    for part in range(context.n_parts):
        rows = read_batch(context.file("united", number), part)
        told.append(rows.select("local", pl.Series("index", index[rows["place"].to_numpy()])))
        bounds.append(bounds[-1] + len(rows))
    write_batches(context.file("numbered", number), pl.concat(told), np.array(bounds))
    by_kind = np.bincount(nodes["kind"].to_numpy(), minlength=len(context.plan.kinds))
    return {"by_kind": by_kind.tolist()}


def indices(context: Context, number: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Indices of the nodes of a part.

    Args:
        context: The merge.
        number: The part.

    Returns:
        ``int32[n + 1]`` by the part's own numbers, -1 for nodes that nothing touches, and at the end.
    """
    told = read_exchange(context.files("numbered"), number, writer="range")
    base = np.array(context.facts["node_bases"], np.int64)[told["range"].to_numpy()]
    found = np.full(len(told) + 1, -1, np.int32)
    place = told["index"].to_numpy()
    found[told["local"].to_numpy()] = np.where(place < 0, -1, place + base)
    return found
