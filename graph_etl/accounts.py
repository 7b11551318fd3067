"""What the rows say of each account: when it came, when it was last seen, its attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl.snapshot import NO_TIME, AttributeInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl.assembly import EventTable
    from graph_etl.events import Accepted, EventRows
    from graph_etl.nodes import NodeLayout
    from graph_etl.plan import Plan
    from graph_etl.snapshot import Snapshot

_NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AccountTimes:
    """When accounts came and went.

    Attributes:
        first_seen_ms: ``int64[A]``, time of the row that brought the account in, else of its first row with a
            time, else ``NO_TIME``.
        last_seen_ms: ``int64[A]``, the latest time of its rows.
        first_pos: ``int64[A]``, position of the row that brought the account in: its first row in a source of
            accounts, one with a time before those without; else its first row of all.
    """

    first_seen_ms: NDArray[np.int64]
    last_seen_ms: NDArray[np.int64]
    first_pos: NDArray[np.int64]


def _listing(events: EventRows, accepted: Accepted, tables: Sequence[EventTable]) -> NDArray[np.bool_]:
    """``bool[M]``: whether each event is a row of a source of accounts."""
    lists = np.array([table.mapping.lists_accounts for table in tables], np.bool_)
    return lists[events.table[accepted.rows]] if len(tables) else np.zeros(0, np.bool_)


def account_times(
    plan: Plan, events: EventRows, accepted: Accepted, tables: Sequence[EventTable], layout: NodeLayout
) -> AccountTimes:
    """Find when accounts came and went.

    Args:
        plan: The plan.
        events: All rows.
        accepted: Those in the graph.
        tables: The tables they are from.
        layout: The nodes.

    Returns:
        The times of the ``A`` accounts.
    """
    del plan
    n_nodes = len(layout.kind)
    listing = _listing(events, accepted, tables)
    time = events.time_ms[accepted.rows]
    pos = np.arange(len(accepted.rows))
    timed = time != NO_TIME
    src, dst = events.src[accepted.rows], events.dst[accepted.rows]
    brought = np.full((3, n_nodes), _NEVER, np.int64)
    early = np.full(n_nodes, _NEVER, np.int64)
    last = np.full(n_nodes, NO_TIME, np.int64)
    for named, lists in ((src, listing), (dst, np.zeros(len(pos), np.bool_))):
        have = named >= 0
        node = layout.index[named]
        for level, rows in enumerate((have & lists & timed, have & lists, have)):
            _lowest(brought[level], node[rows], pos[rows])
        _lowest(early, node[have & timed], time[have & timed])
        np.maximum.at(last, node[have & timed], time[have & timed])
    chosen = np.where(
        brought[0] != _NEVER, brought[0], np.where(brought[1] != _NEVER, brought[1], brought[2])
    )
    first_pos = chosen[layout.account_node]
    # An account that only an earlier snapshot had: nothing brought it in.
    gone = first_pos == _NEVER
    safe = np.where(gone, 0, first_pos)
    first_seen = time[safe] if len(time) else np.full(len(safe), NO_TIME)
    early = np.where(early == _NEVER, NO_TIME, early)[layout.account_node]
    first_seen = np.where(gone | (first_seen == NO_TIME), early, first_seen)
    return AccountTimes(first_seen, last[layout.account_node], np.where(gone, len(time), first_pos))


def _lowest(least: NDArray[np.int64], node: NDArray[np.int32], value: NDArray[np.int64]) -> None:
    np.minimum.at(least, node, value)


def account_attributes(
    plan: Plan,
    events: EventRows,
    accepted: Accepted,
    tables: Sequence[EventTable],
    layout: NodeLayout,
    first_pos: NDArray[np.int64],
    previous: Snapshot | None,
) -> tuple[tuple[AttributeInfo, ...], NDArray[np.float64]]:
    """Collect the attributes of accounts.

    Only rows up to the one that brought the account in count, so that a later row never changes what was
    known of an account when it came; of several, the first that says something.

    Args:
        plan: The plan.
        events: All rows.
        accepted: Those in the graph.
        tables: The tables they are from.
        layout: The nodes.
        first_pos: ``int64[A]``, position of the row that brought each account in.
        previous: The snapshot whose order of categories stays as it is.

    Returns:
        The attributes in the order of the spec, and ``float64[A, n_attributes]``.
    """
    del plan
    names = {attribute.name: attribute.type for table in tables for attribute in table.mapping.attributes}
    node_account = np.full(len(layout.kind), -1, np.int32)
    node_account[layout.account_node] = np.arange(len(layout.account_node), dtype=np.int32)
    gathered: dict[str, list[pl.DataFrame]] = {name: [] for name in names}
    for table in tables:
        said = table.part.table(f"{table.mapping.name}.attributes") if table.mapping.attributes else None
        if said is None:
            continue
        pos = accepted.pos[table.start : table.start + table.n_rows]
        node = layout.index[events.src[table.start : table.start + table.n_rows]]
        account = node_account[node]
        counts = (pos >= 0) & (node >= 0)
        counts &= pos <= first_pos[account]
        for name in said.columns:
            frame = pl.DataFrame({"pos": pos, "account": account, "value": said[name]})
            gathered[name].append(frame.filter(pl.Series(counts)).drop_nulls())
    values = np.full((len(first_pos), len(names)), np.nan)
    infos = []
    earlier = {} if previous is None else {info.name: info.categories for info in previous.attributes}
    for at, (name, type_) in enumerate(names.items()):
        first = pl.concat(gathered[name]).sort("pos").unique("account", keep="first", maintain_order=True)
        account = first["account"].to_numpy()
        categories: tuple[str, ...] = ()
        if type_ == "category":
            old = earlier.get(name, ())
            # In the order of appearance: a category that comes later must not renumber those before it.
            categories = tuple(dict.fromkeys((*old, *first["value"].to_list())))
            number = {category: float(place) for place, category in enumerate(categories)}
            found = first["value"].replace_strict(number, default=None, return_dtype=pl.Float64)
            values[account, at] = found.to_numpy()
        else:
            values[account, at] = first["value"].to_numpy()
        infos.append(AttributeInfo(name, type_, categories))
    return tuple(infos), values
