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
        asked = pl.col("ring").is_between(rings.start, rings.stop, closed="left")
        drawn = contacts.shared.filter(asked & (pl.col("place") < MOST_NODES - 2))
        all_touches = contacts.touches.filter(asked)
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
        of_touches = touches["ring"].to_numpy()
        # Plain lists: a frame cut and read for each ring costs more than all that is drawn.
        self._touches = {
            name: touches[name].to_list() for name in ("account", "node", "side", "users", "pos")
        }
        self._touch_bounds = np.searchsorted(of_touches, np.arange(len(grounds.density) + 1))
        links, member = grounds.links, grounds.member
        left = member[links.a]
        inside = np.flatnonzero((left >= rings.start) & (left < rings.stop) & (left == member[links.b]))
        order = inside[np.lexsort((-links.weight[inside], left[inside]))]
        self._links = order
        self._link_bounds = np.searchsorted(left[order], np.arange(len(grounds.density) + 1))

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
        for account in kept:
            node = int(snapshot.account_node[account])
            nodes[node] = self._node(node, ring)
        for node in grounds.nearest[ring]:
            nodes.setdefault(node, self._node(node, ring))
        edges: list[dict[str, Any]] = []
        told: set[tuple[int, int, str]] = set()
        for account, node, side, users in self._rows(ring, "account", "node", "side", "users"):
            if node not in nodes:
                if len(nodes) >= MOST_NODES:
                    continue
                nodes[node] = self._node(node, ring) | {"users": users}
            own = int(snapshot.account_node[account])
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
        for link in self._links[int(self._link_bounds[ring]) : int(self._link_bounds[ring + 1])]:
            if len(edges) >= _MOST_EDGES:
                break
            left = int(snapshot.account_node[grounds.links.a[link]])
            right = int(snapshot.account_node[grounds.links.b[link]])
            if left in nodes and right in nodes:
                weight = round(float(grounds.links.weight[link]), 4)
                edges.append({"source": left, "target": right, "relation": "link", "weight": weight})
        for node in grounds.minimal[ring].nodes:
            if node in nodes:
                nodes[node]["minimal"] = True
        return {"nodes": list(nodes.values()), "edges": edges}

    def _rows(self, ring: int, *columns: str) -> Iterator[tuple[Any, ...]]:
        first = int(self._touch_bounds[ring])
        last = min(first + _MOST_EDGES, int(self._touch_bounds[ring + 1]))
        return zip(*(self._touches[name][first:last] for name in columns), strict=True)

    def _node(self, node: int, ring: int) -> dict[str, Any]:
        account = int(self._grounds.snapshot.node_account[node])
        named = self._grounds.named(node)
        shown = {"id": node, "kind": named["kind"], "key": named["key"], "label": named["shown"]}
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
        snapshot = grounds.snapshot
        moments: list[_Moment] = []
        for account in grounds.accounts[ring]:
            seen_ms = int(snapshot.first_seen_ms[account])
            if seen_ms != NO_TIME:
                event = snapshot.event_types[int(snapshot.event_type[int(snapshot.first_pos[account])])]
                moments.append((seen_ms, event, int(account), -1, ""))
        for account, node, side, pos in self._rows(ring, "account", "node", "side", "pos"):
            at_ms = int(snapshot.event_time_ms[pos])
            view = grounds.contacts.sides[side]
            other = int(snapshot.node_account[node])
            if at_ms == NO_TIME or int(snapshot.node_kind[node]) in self._derived:
                continue
            directed = snapshot.relations[view.relation].directed
            if other >= 0 and int(grounds.member[other]) == ring:
                told_by_other = not view.outgoing if directed else account > other
                if told_by_other:
                    continue
            way = (
                "used" if view.used else "shared" if not directed else "sent" if view.outgoing else "received"
            )
            moments.append((at_ms, view.name, account, node, way))
        moments.sort()
        drawn = moments if len(moments) <= _MOST_MOMENTS else _spread(moments)
        return [
            {
                "time_ms": at_ms,
                "time": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds"),
                "event": event,
                "account_id": snapshot.account_ids[account],
                **({} if node < 0 else {"with": grounds.named(node), "way": way}),
            }
            for at_ms, event, account, node, way in drawn
        ]


def _spread(moments: list[_Moment]) -> list[_Moment]:
    """As many moments as are shown, evenly taken, first and last among them."""
    places = np.linspace(0, len(moments) - 1, _MOST_MOMENTS).astype(int)
    return [moments[place] for place in places]
