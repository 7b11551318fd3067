"""Steps on ranges of positions and of nodes: events in their order, neighbours by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from graph_etl.adjacency import CSR, distinct_pairs, group_by_node
from graph_etl.bounded.exchange import read_exchange, write_batches, write_exchange
from graph_etl.bounded.run import Context, context_of
from graph_etl.snapshot import NO_TIME

_NEVER = 2**63 - 1
SIDES = ("out", "into")
_LEVELS = ("timed", "listed", "any")


def placed(facts: str, number: int) -> dict[str, Any]:
    """Give the events of a range their positions; send on what they say of nodes.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The range of positions.

    Returns:
        Edges and kinds at their ends by relation, first and last time.
    """
    context = context_of(facts)
    events = read_exchange(context.files("located"), number, writer="part")
    events = events.sort("known_ms", "part", "row", "table", maintain_order=True)
    base = int(context.facts["row_bases"][number])
    events = events.with_columns(pl.int_range(base, base + len(events), eager=True).alias("pos"))
    whole = events.select("time_ms", "known_ms", "type")
    write_batches(context.folder / "events" / f"{number:06d}.arrow", whole, np.array([0, len(whole)]))
    edges = _edges(context, events)
    relation = edges["relation"].to_numpy()
    n_relations = len(context.facts["relations"])
    write_exchange(
        context.folder / "edges" / f"{number:06d}.arrow", edges.drop("relation"), relation, n_relations
    )
    by_owner = _by_owner(context, edges)
    write_exchange(
        context.file("placed", number),
        by_owner,
        context.owner_range(by_owner["owner"].to_numpy()),
        _n_ranges(context),
    )
    for name, table in (("facts", _facts(events)), ("said", _said(context, events))):
        to = context.owner_range(table["node"].to_numpy())
        write_exchange(context.folder / name / f"{number:06d}.arrow", table, to, _n_ranges(context))
    time = events["time_ms"].to_numpy()
    time = time[time != NO_TIME]
    ends = {}
    for end in ("src", "dst"):
        codes = np.unique(relation.astype(np.int64) * 65536 + context.kind_of(edges[end].to_numpy()))
        ends[end] = [[int(code) // 65536, int(code) % 65536] for code in codes]
    return {
        "edges": np.bincount(relation, minlength=n_relations).tolist(),
        "ends": ends,
        "time_range_ms": [int(time.min()), int(time.max())] if len(time) else None,
    }


def _n_ranges(context: Context) -> int:
    return len(context.facts["node_starts"]) - 1


def _edges(context: Context, events: pl.DataFrame) -> pl.DataFrame:
    """Edges by relation, in the order of positions."""
    relations = context.facts["relations"]
    of_kind = np.full(len(context.plan.kinds), -1, np.int16)
    of_type = np.full(len(context.types) + 1, -1, np.int16)
    for at, relation in enumerate(relations):
        if relation["used"]:
            of_kind[relation["kind"]] = at
        else:
            of_type[relation["type"]] = at
    used = events.select("src", "used", "pos").explode("used").drop_nulls("used")
    target = used["used"].to_numpy()
    uses = pl.DataFrame(
        {
            "relation": of_kind[context.kind_of(target)],
            "src": used["src"],
            "dst": target,
            "pos": used["pos"],
            "value": np.ones(len(used), np.float32),
        }
    )
    acts = events.filter(pl.col("dst") >= 0)
    interactions = pl.DataFrame(
        {
            "relation": of_type[acts["type"].to_numpy()],
            "src": acts["src"],
            "dst": acts["dst"],
            "pos": acts["pos"],
            "value": acts["value"],
        }
    )
    return pl.concat([uses, interactions]).filter(pl.col("relation") >= 0)


def _by_owner(context: Context, edges: pl.DataFrame) -> pl.DataFrame:
    """Entries of neighbour lists, both sides of each edge, in the order of positions within a list."""
    directed = np.array([relation["directed"] for relation in context.facts["relations"]] or [True], np.bool_)
    both = (
        pl.Series(directed[edges["relation"].to_numpy()]) if len(edges) else pl.Series([], dtype=pl.Boolean)
    )
    forward = edges.select(
        "relation",
        pl.lit(0, pl.Int8).alias("side"),
        pl.col("src").alias("owner"),
        pl.col("dst").alias("other"),
        "pos",
        "value",
    )
    # An edge without direction stands in one list for each of its ends, a loop once.
    backward = edges.select(
        "relation",
        both.cast(pl.Int8).alias("side"),
        pl.col("dst").alias("owner"),
        pl.col("src").alias("other"),
        "pos",
        "value",
    ).filter(both | (pl.col("owner") != pl.col("other")))
    return pl.concat([forward, backward]).sort("pos", maintain_order=True)


def _facts(events: pl.DataFrame) -> pl.DataFrame:
    """For each node of a range of events: the first row of each level, the first and last time."""
    ends = pl.concat(
        [
            events.select(pl.col("src").alias("node"), "pos", "time_ms", "lists"),
            events.select(pl.col("dst").alias("node"), "pos", "time_ms", pl.lit(False).alias("lists")).filter(
                pl.col("node") >= 0
            ),
        ]
    )
    timed = pl.col("time_ms") != NO_TIME
    levels = {"timed": timed & pl.col("lists"), "listed": pl.col("lists"), "any": pl.lit(True)}
    return (
        ends.sort("pos", maintain_order=True)
        .group_by("node")
        .agg(
            *(
                pl.col("pos").filter(rows).first().fill_null(_NEVER).alias(name)
                for name, rows in levels.items()
            ),
            *(
                pl.col("time_ms").filter(rows).first().fill_null(NO_TIME).alias(f"{name}_ms")
                for name, rows in levels.items()
            ),
            pl.col("time_ms").filter(timed).min().fill_null(_NEVER).alias("early_ms"),
            pl.col("time_ms").max().alias("last_ms"),
        )
    )


def _said(context: Context, events: pl.DataFrame) -> pl.DataFrame:
    """Rows that say something of an account."""
    names = [f"attribute:{name}" for name, _ in context.facts["attributes"]]
    rows = events.select(pl.col("src").alias("node"), "pos", *names)
    if not names:
        return rows.head(0)
    return rows.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in names))


def grouped(facts: str, number: int) -> dict[str, Any]:
    """Make the lists of neighbours of a range of nodes, and what is known of its accounts.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The range of nodes.

    Returns:
        Which lists hold no pair twice, and the categories of accounts with the positions that brought them.
    """
    context = context_of(facts)
    start, stop = context.facts["node_starts"][number : number + 2]
    entries = read_exchange(context.files("placed"), number)
    section = entries["relation"].to_numpy().astype(np.int64) * 2 + entries["side"].to_numpy()
    n_sections = 2 * len(context.facts["relations"])
    lists: list[CSR] = []
    once: list[bool] = []
    touching: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]] = []
    empty = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))
    for at in range(n_sections):
        rows = entries.filter(pl.Series(section == at))
        owner = (rows["owner"].to_numpy() - start).astype(np.int32)
        csr = group_by_node(
            owner, rows["other"].to_numpy(), rows["pos"].to_numpy(), rows["value"].to_numpy(), stop - start
        )
        pairs = _distinct_pairs(csr)
        lists += [csr, pairs]
        once.append(pairs is csr)
        owners = np.repeat(np.arange(start, stop, dtype=np.int32), np.diff(pairs.indptr))
        mine = owners < context.n_accounts
        touching.append((owners[mine], pairs.nbr[mine], pairs.pos[mine]))
    _write_lists(context, "lists", number, lists)
    account, node, pos = (np.concatenate(columns) for columns in zip(empty, *touching, strict=True))
    order = np.lexsort((node, pos, account))
    account, node, pos = account[order], node[order], pos[order]
    first = np.zeros(len(account), np.bool_)
    first[np.unique(account.astype(np.int64) << 32 | node, return_index=True)[1]] = True
    account, node, pos = account[first], node[first], pos[first]
    _write_touches(context, "touches", number, account, node, pos, start, stop)
    touched = pl.DataFrame({"node": node, "account": account, "pos": pos})
    write_exchange(context.file("grouped", number), touched, context.owner_range(node), _n_ranges(context))
    return {"once": once, "categories": _accounts(context, number, start, stop)}


def _distinct_pairs(csr: CSR) -> CSR:
    """As `distinct_pairs`, for lists of some nodes: neighbours are numbered anew while it counts."""
    others, number = np.unique(csr.nbr, return_inverse=True)
    missing = max(0, len(others) - (len(csr.indptr) - 1))
    padded = np.concatenate([csr.indptr, np.full(missing, csr.indptr[-1])])
    local = CSR(padded, number.astype(np.int32), csr.pos, csr.value)
    pairs = distinct_pairs(local)
    if pairs is local:
        return csr
    return CSR(pairs.indptr[: len(csr.indptr)], others[pairs.nbr], pairs.pos, pairs.value)


def _write_lists(context: Context, name: str, number: int, lists: list[CSR]) -> None:
    """Write entries and lengths of lists, a batch each; of two that are one the second is empty."""
    entries, lengths = [], []
    entry_bounds, length_bounds = [0], [0]
    for at, csr in enumerate(lists):
        again = at % 2 == 1 and csr is lists[at - 1]
        stop = 0 if again else len(csr.nbr)
        entries.append({"nbr": csr.nbr[:stop], "pos": csr.pos[:stop], "value": csr.value[:stop]})
        lengths.append(np.diff(csr.indptr)[: 0 if again else None])
        entry_bounds.append(entry_bounds[-1] + stop)
        length_bounds.append(length_bounds[-1] + len(lengths[-1]))
    folder = context.folder / name
    rows = pl.DataFrame(
        {
            column: np.concatenate([np.zeros(0, kind), *(one[column] for one in entries)])
            for column, kind in (("nbr", np.int32), ("pos", np.int64), ("value", np.float32))
        }
    )
    write_batches(folder / f"{number:06d}.arrow", rows, np.array(entry_bounds))
    counted = pl.DataFrame({"length": np.concatenate([np.zeros(0, np.int64), *lengths])})
    write_batches(folder / f"{number:06d}.lengths.arrow", counted, np.array(length_bounds))


def _write_touches(
    context: Context,
    name: str,
    number: int,
    owner: NDArray[np.int32],
    other: NDArray[np.int32],
    pos: NDArray[np.int64],
    start: int,
    stop: int,
) -> None:
    """Write lists that are in order already."""
    indptr = np.concatenate([[0], np.cumsum(np.bincount(owner - start, minlength=stop - start))])
    _write_lists(context, name, number, [CSR(indptr, other, pos, np.zeros(len(pos), np.float32))])


def _accounts(context: Context, number: int, start: int, stop: int) -> dict[str, list[list[Any]]]:
    """Write times and attributes of the accounts of a range; the categories in the order of positions."""
    stop = max(start, min(stop, context.n_accounts))
    n_accounts = stop - start
    ranges = range(context.facts["tasks"]["placed"])
    seen = read_exchange([context.folder / "facts" / f"{at:06d}.arrow" for at in ranges], number)
    seen = seen.filter(pl.col("node") < stop)
    node = seen["node"].to_numpy() - start
    first = {}
    for level in _LEVELS:
        least = np.full(n_accounts, _NEVER, np.int64)
        np.minimum.at(least, node, seen[level].to_numpy())
        first[level] = least
    early, last = np.full(n_accounts, _NEVER, np.int64), np.full(n_accounts, NO_TIME, np.int64)
    np.minimum.at(early, node, seen["early_ms"].to_numpy())
    np.maximum.at(last, node, seen["last_ms"].to_numpy())
    levels = [first[level] for level in _LEVELS]
    which = np.where(levels[0] != _NEVER, 0, np.where(levels[1] != _NEVER, 1, 2))
    first_pos = np.choose(which, levels)
    first_seen = np.full(n_accounts, NO_TIME, np.int64)
    for at, level in enumerate(_LEVELS):
        hit = (seen[level].to_numpy() == first_pos[node]) & (which[node] == at)
        first_seen[node[hit]] = seen[f"{level}_ms"].to_numpy()[hit]
    first_seen = np.where(first_seen == NO_TIME, np.where(early == _NEVER, NO_TIME, early), first_seen)
    table = {"first_seen_ms": first_seen, "last_seen_ms": last, "first_pos": first_pos}
    said = read_exchange([context.folder / "said" / f"{at:06d}.arrow" for at in ranges], number)
    account = said["node"].to_numpy() - start
    inside = account < n_accounts
    inside[inside] = said["pos"].to_numpy()[inside] <= first_pos[account[inside]]
    said = (
        said.with_columns(pl.Series("node", account))
        .filter(pl.Series(inside))
        .sort("pos", maintain_order=True)
    )
    columns: dict[str, Any] = dict(table)
    categories: dict[str, list[list[Any]]] = {}
    for name, type_ in context.facts["attributes"]:
        column = f"attribute:{name}"
        rows = said.select("node", "pos", column).drop_nulls(column)
        rows = rows.unique("node", keep="first", maintain_order=True)
        dtype = pl.String() if type_ == "category" else pl.Float64()
        empty = pl.Series(column, [None], dtype).new_from_index(0, n_accounts)
        columns[column] = empty.scatter(rows["node"].to_numpy(), rows[column]) if len(rows) else empty
        if type_ == "category":
            seen = rows.unique(column, keep="first", maintain_order=True)
            categories[name] = [[pos, value] for pos, value in seen.select("pos", column).iter_rows()]
    write_batches(
        context.folder / "accounts" / f"{number:06d}.arrow", pl.DataFrame(columns), np.array([0, n_accounts])
    )
    return categories


def touching(facts: str, number: int) -> dict[str, Any]:
    """List the accounts that touch each node of a range, and the contacts that hubs are judged by.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The range of nodes.

    Returns:
        How many contacts there are of each kind of node.
    """
    context = context_of(facts)
    start, stop = context.facts["node_starts"][number : number + 2]
    rows = read_exchange(context.files("grouped"), number)
    node, account, pos = (rows[name].to_numpy() for name in ("node", "account", "pos"))
    order = np.lexsort((account, pos, node))
    node, account, pos = node[order], account[order], pos[order]
    _write_touches(context, "touched_by", number, node, account, pos, start, stop)
    other = node != account
    contacts = pl.DataFrame({"node": node[other], "account": account[other], "pos": pos[other]})
    bases = np.array(context.facts["row_bases"])
    to = np.searchsorted(bases[1:-1], contacts["pos"].to_numpy(), side="right")
    write_exchange(context.file("touching", number), contacts, to, len(bases) - 1)
    return {}


def met(facts: str, number: int) -> dict[str, Any]:
    """Put the contacts of a range of positions in order, by kind of node.

    Args:
        facts: What the steps before found; see `context_of`.
        number: The range of positions.

    Returns:
        How many contacts there are of each kind of node.
    """
    context = context_of(facts)
    contacts = read_exchange(context.files("touching"), number).sort("pos", "node", "account")
    kind = context.kind_of(contacts["node"].to_numpy())
    write_exchange(context.file("met", number), contacts, kind, len(context.plan.kinds))
    return {"contacts": np.bincount(kind, minlength=len(context.plan.kinds)).tolist()}


def account_rows(context: Context, number: int) -> pl.DataFrame:
    """What was found of the accounts of a range.

    Args:
        context: The merge.
        number: The range of nodes.

    Returns:
        ``first_seen_ms``, ``last_seen_ms``, ``first_pos`` and the attributes, one row an account.
    """
    return read_exchange([context.folder / "accounts" / f"{number:06d}.arrow"], 0)
