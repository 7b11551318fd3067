"""A ring to look at: its timeline and a bounded piece of the graph around it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rings.evidence import Grounds

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
    """

    def __init__(self, grounds: Grounds, roles: Sequence[str], ties: NDArray[np.float64]) -> None:
        self._grounds = grounds
        self._roles = roles
        self._ties = ties
        contacts = grounds.contacts
        drawn = contacts.shared.filter(pl.col("place") < MOST_NODES - 2)
        touches = contacts.touches.join(
            drawn.select("ring", "node", "place", "users"), on=["ring", "node"], how="inner"
        ).sort("ring", "place", "account", "side")
        rings = touches["ring"].to_numpy()
        self._touches = touches
        self._touch_bounds = np.searchsorted(rings, np.arange(len(grounds.density) + 1))
        links, member = grounds.links, grounds.member
        left = member[links.a]
        inside = np.flatnonzero((left >= 0) & (left == member[links.b]))
        order = inside[np.lexsort((-links.weight[inside], left[inside]))]
        self._links = order
        self._link_bounds = np.searchsorted(left[order], np.arange(len(grounds.density) + 1))

    def subgraph(self, ring: int) -> dict[str, list[dict[str, Any]]]:
        """Draw a ring.

        Args:
            ring: Number of the ring.

        Returns:
            ``nodes`` (members, what they share, the way to the nearest known bad account) and ``edges`` (who
            touched what through which relation; links with their weights): at most 300 nodes.
        """
        grounds = self._grounds
        snapshot = grounds.snapshot
        accounts = grounds.accounts[ring]
        kept = accounts[np.argsort(-self._ties[accounts], kind="stable")][:_MOST_MEMBERS]
        nodes: dict[int, dict[str, Any]] = {}
        for account in kept:
            node = int(snapshot.account_node[account])
            nodes[node] = self._node(node) | {"role": self._roles[account], "member": True}
        for node in grounds.nearest[ring]:
            nodes.setdefault(node, self._node(node))
        edges: list[dict[str, Any]] = []
        rows = self._touches[int(self._touch_bounds[ring]) : int(self._touch_bounds[ring + 1])]
        for account, node, side, users in (
            rows.select("account", "node", "side", "users").head(_MOST_EDGES).iter_rows()
        ):
            if node not in nodes:
                if len(nodes) >= MOST_NODES:
                    continue
                nodes[node] = self._node(node) | {"users": users}
            own = int(snapshot.account_node[account])
            if own not in nodes:
                continue
            view = grounds.contacts.sides[side]
            ends = (own, node) if view.outgoing else (node, own)
            edges.append({"source": ends[0], "target": ends[1], "relation": view.name})
        for before, after in zip(grounds.nearest[ring], grounds.nearest[ring][1:], strict=False):
            edges.append({"source": before, "target": after, "relation": "nearest known bad"})
        for link in self._links[int(self._link_bounds[ring]) : int(self._link_bounds[ring + 1])]:
            if len(edges) >= _MOST_EDGES:
                break
            left = int(snapshot.account_node[grounds.links.a[link]])
            right = int(snapshot.account_node[grounds.links.b[link]])
            if left in nodes and right in nodes:
                weight = round(float(grounds.links.weight[link]), 4)
                edges.append({"source": left, "target": right, "relation": "link", "weight": weight})
        return {"nodes": list(nodes.values()), "edges": edges}

    def _node(self, node: int) -> dict[str, Any]:
        account = int(self._grounds.snapshot.node_account[node])
        named = self._grounds.named(node)
        shown = {"id": node, "kind": named["kind"], "key": named["key"], "label": named["shown"]}
        if account >= 0:
            shown |= {"account": account, "known_bad": bool(self._grounds.known_bad[account])}
        return shown

    def timeline(self, ring: int) -> list[dict[str, Any]]:
        """Say what happened when.

        Args:
            ring: Number of the ring.

        Returns:
            First appearances of members and their first touch of what they share, the earliest first; empty
            where nothing is timed.
        """
        grounds = self._grounds
        snapshot = grounds.snapshot
        moments: list[tuple[int, str, int, int]] = []
        for account in grounds.accounts[ring]:
            seen_ms = int(snapshot.first_seen_ms[account])
            if seen_ms != NO_TIME:
                event = snapshot.event_types[int(snapshot.event_type[int(snapshot.first_pos[account])])]
                moments.append((seen_ms, event, int(account), -1))
        rows = self._touches[int(self._touch_bounds[ring]) : int(self._touch_bounds[ring + 1])]
        for account, node, side, pos in (
            rows.select("account", "node", "side", "pos").head(_MOST_EDGES).iter_rows()
        ):
            at_ms = int(snapshot.event_time_ms[pos])
            if at_ms != NO_TIME:
                moments.append((at_ms, grounds.contacts.sides[side].name, account, node))
        moments.sort()
        drawn = moments if len(moments) <= _MOST_MOMENTS else _spread(moments)
        return [
            {
                "time_ms": at_ms,
                "time": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds"),
                "event": event,
                "account_id": snapshot.account_ids[account],
                **({} if node < 0 else {"with": grounds.named(node)}),
            }
            for at_ms, event, account, node in drawn
        ]


def _spread(moments: list[tuple[int, str, int, int]]) -> list[tuple[int, str, int, int]]:
    """As many moments as are shown, evenly taken, first and last among them."""
    places = np.linspace(0, len(moments) - 1, _MOST_MOMENTS).astype(int)
    return [moments[place] for place in places]
