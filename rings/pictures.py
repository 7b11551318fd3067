"""A ring to look at: its timeline and a bounded piece of the graph around it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl import NO_TIME
from rings.links import derived_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from features import Side
    from rings.evidence import Grounds

# Time, event, account, what it touched (-1: it appeared) and how.
_Moment = tuple[int, str, int, int, str]

MOST_NODES = 300
"""Nodes of a subgraph at most."""

_MOST_MEMBERS = 180
_MOST_EDGES = 900
_MOST_MOMENTS = 120


class Pictures:
    """Draws the rings of a run.

    Args:
        grounds: What the rings' evidence is drawn from.
        roles: ``A`` names of roles, empty for accounts in no ring.
        ties: ``float64[A]``, how firmly each member is tied to its ring.
        rings: Numbers of the rings that will be asked for; all if None.
    """

    def __init__(
        self, grounds: Grounds, roles: Sequence[str], ties: NDArray[np.float64], rings: range | None = None
    ) -> None:
        self._grounds = grounds
        self._roles = roles
        self._ties = ties
        self._derived = derived_kinds(grounds.snapshot)
        contacts = grounds.contacts
        rings = range(len(grounds.density)) if rings is None else rings
        drawn = contacts.shared_by(rings).filter(pl.col("place") < MOST_NODES - 2)
        all_touches = contacts.touches_by(rings)
        touches = all_touches.join(drawn.select("ring", "node", "place", "users"), on=["ring", "node"])
        # What members did to each other belongs in the picture, also where it is only one who did.
        other = np.asarray(grounds.snapshot.node_account)[all_touches["node"].to_numpy()]
        dealt = all_touches.filter(
            pl.Series((other >= 0) & (grounds.member[np.maximum(other, 0)] == all_touches["ring"].to_numpy()))
        ).join(drawn, on=["ring", "node"], how="anti")
        last = pl.lit(MOST_NODES, touches.schema["place"]), pl.lit(1, touches.schema["users"])
        touches = pl.concat([touches, dealt.with_columns(place=last[0], users=last[1])]).sort(
            "ring", "place", "node", "account", "side"
        )
        self._touches = self._rows_of(touches)
        numbers = np.arange(rings.start, rings.stop + 1)
        self._first = rings.start
        self._touch_bounds = np.searchsorted(touches["ring"].to_numpy(), numbers).tolist()
        self._node_of: dict[int, int] = {}
        self._came = self._arrivals_of(rings)
        self._ways = [self._way(side) for side in contacts.sides]
        inside, bounds = grounds.inner_links
        links, bounds = grounds.links, bounds[rings.start : rings.stop + 1]
        inside = inside[bounds[0] : bounds[-1]]
        nodes = np.asarray(grounds.snapshot.account_node)
        ends = (nodes[links.a[inside]].tolist(), nodes[links.b[inside]].tolist())
        self._links = list(zip(*ends, links.weight[inside].tolist(), strict=True))
        self._link_bounds = (bounds - bounds[0]).tolist()

    def _rows_of(self, touches: pl.DataFrame) -> dict[str, list[Any]]:
        """The columns that are drawn from, as plain lists: arrays read row by row cost more than drawing."""
        snapshot, member = self._grounds.snapshot, self._grounds.member
        account, node, side, pos = (touches[name].to_numpy() for name in ("account", "node", "side", "pos"))
        sides = self._grounds.contacts.sides
        directed = np.array([snapshot.relations[view.relation].directed for view in sides], np.bool_)[side]
        outgoing = np.array([view.outgoing for view in sides], np.bool_)[side]
        other = np.asarray(snapshot.node_account)[node]
        inside = (other >= 0) & (member[np.maximum(other, 0)] == touches["ring"].to_numpy())
        at_ms = np.asarray(snapshot.event_time_ms)[pos]
        derived = np.isin(np.asarray(snapshot.node_kind)[node], list(self._derived))
        told = (at_ms != NO_TIME) & ~derived & ~(inside & np.where(directed, ~outgoing, account > other))
        columns = {
            "account": account,
            "own": np.asarray(snapshot.account_node)[account],
            "node": node,
            "side": side,
            "users": touches["users"].to_numpy(),
            "at_ms": at_ms,
            "told": told,
        }
        return {name: column.tolist() for name, column in columns.items()}

    def _arrivals_of(self, rings: range) -> dict[int, list[_Moment]]:
        """First appearances of members, by ring."""
        snapshot = self._grounds.snapshot
        came: dict[int, list[_Moment]] = {ring: [] for ring in rings}
        accounts = [self._grounds.accounts[ring] for ring in rings]
        everybody = np.concatenate([np.zeros(0, np.int64), *accounts])
        nodes = np.asarray(snapshot.account_node)[everybody].tolist()
        self._node_of.update(zip(everybody.tolist(), nodes, strict=True))
        seen_ms = np.asarray(snapshot.first_seen_ms)[everybody]
        types = np.asarray(snapshot.event_type)[np.asarray(snapshot.first_pos)[everybody]]
        for ring, account, at_ms, event in zip(
            np.repeat(np.array(rings, np.int64), [len(some) for some in accounts]).tolist(),
            everybody.tolist(),
            seen_ms.tolist(),
            types.tolist(),
            strict=True,
        ):
            if at_ms != NO_TIME:
                came[ring].append((at_ms, snapshot.event_types[event], account, -1, ""))
        return came

    def _way(self, side: Side) -> str:
        if side.used:
            return "used"
        if not self._grounds.snapshot.relations[side.relation].directed:
            return "shared"
        return "sent" if side.outgoing else "received"

    def subgraph(self, ring: int) -> dict[str, list[dict[str, Any]]]:
        """Draw a ring.

        Args:
            ring: Number of the ring.

        Returns:
            ``nodes`` (members, what they share, the way to the nearest known bad account; ``minimal`` marks
            what the ring would dissolve without) and ``edges`` (who touched what through which relation, each
            once; links with their weights): at most 300 nodes.
        """
        grounds = self._grounds
        snapshot = grounds.snapshot
        accounts = grounds.accounts[ring]
        kept = accounts[np.argsort(-self._ties[accounts], kind="stable")][:_MOST_MEMBERS]
        nodes: dict[int, dict[str, Any]] = {}
        for node in np.asarray(snapshot.account_node)[kept].tolist():
            nodes[node] = self._node(node, ring)
        for node in grounds.nearest[ring]:
            nodes.setdefault(node, self._node(node, ring))
        edges: list[dict[str, Any]] = []
        told: set[tuple[int, int, str]] = set()
        for own, node, side, users in self._rows(ring, "own", "node", "side", "users"):
            if node not in nodes:
                if len(nodes) >= MOST_NODES:
                    continue
                nodes[node] = self._node(node, ring) | {"users": users}
            if own not in nodes:
                continue
            view = grounds.contacts.sides[side]
            ends = (own, node) if view.outgoing else (node, own)
            # Two members see one interaction from both of its ends.
            if (*ends, view.name) not in told:
                told.add((*ends, view.name))
                edges.append({"source": ends[0], "target": ends[1], "relation": view.name})
        for before, after in zip(grounds.nearest[ring], grounds.nearest[ring][1:], strict=False):
            edges.append({"source": before, "target": after, "relation": "nearest known bad"})
        place = ring - self._first
        for at in range(self._link_bounds[place], self._link_bounds[place + 1]):
            if len(edges) >= _MOST_EDGES:
                break
            left, right, weight = self._links[at]
            if left in nodes and right in nodes:
                edges.append(
                    {"source": left, "target": right, "relation": "link", "weight": round(weight, 4)}
                )
        for node in grounds.minimal[ring].nodes:
            if node in nodes:
                nodes[node]["minimal"] = True
        return {"nodes": list(nodes.values()), "edges": edges}

    def _rows(self, ring: int, *columns: str) -> Iterator[tuple[Any, ...]]:
        place = ring - self._first
        first = self._touch_bounds[place]
        last = min(first + _MOST_EDGES, self._touch_bounds[place + 1])
        return zip(*(self._touches[name][first:last] for name in columns), strict=True)

    def _node(self, node: int, ring: int) -> dict[str, Any]:
        kind, key, label, account = self._grounds.name_of(node)
        shown: dict[str, Any] = {"id": node, "kind": kind, "key": key, "label": label}
        if account >= 0:
            shown |= {"account": account, "known_bad": bool(self._grounds.known_bad[account])}
            if int(self._grounds.member[account]) == ring:
                shown |= {"role": self._roles[account], "member": True}
        return shown

    def timeline(self, ring: int) -> list[dict[str, Any]]:
        """Say what happened when.

        Args:
            ring: Number of the ring.

        Returns:
            First appearances of members and their first touch of what they share and of each other, the
            earliest first; empty where nothing is timed. ``way`` is ``used``, ``sent``, ``received`` or
            ``shared``. What is derived from an identifier repeats it and is left out; of an interaction
            between two members the sender tells.
        """
        grounds = self._grounds
        sides = grounds.contacts.sides
        moments = list(self._came[ring])
        for account, node, side, at_ms, told in self._rows(ring, "account", "node", "side", "at_ms", "told"):
            if told:
                moments.append((at_ms, sides[side].name, account, node, self._ways[side]))
        moments.sort()
        drawn = moments if len(moments) <= _MOST_MOMENTS else _spread(moments)
        return [
            {
                "time_ms": at_ms,
                "time": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds"),
                "event": event,
                "account_id": grounds.name_of(self._node_of[account])[1],
                **({} if node < 0 else {"with": grounds.named(node), "way": way}),
            }
            for at_ms, event, account, node, way in drawn
        ]


def _spread(moments: list[_Moment]) -> list[_Moment]:
    """As many moments as are shown, evenly taken, first and last among them."""
    places = np.linspace(0, len(moments) - 1, _MOST_MOMENTS).astype(int)
    return [moments[place] for place in places]
