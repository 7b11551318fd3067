"""Evidence for rings: what holds each together, counted, with how rare it is on the platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features import view_of
from graph_etl import NO_TIME
from rings.arrivals import Arrivals
from rings.assessment import honest_story, minimal_set, strongest_ties
from rings.communities import CommunityConfig
from rings.contacts import Contacts, contacts, identifier_groups, inner_interactions, named_nodes
from rings.honest import Honest, honest, with_verdicts
from rings.left_out import hubs_touched
from rings.links import SYNCHRONY, LinkConfig, derived_kinds
from rings.minimal import Minimal, minimal
from rings.nearest_bad import STEPS
from rings.wording import shown_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from rings.links import Links

Evidence = dict[str, Any]

_ENTITIES = 8
_COUNTERPARTS = 6


@dataclass(frozen=True)
class Grounds:
    """Everything that the evidence of a run's rings is drawn from.

    Attributes:
        snapshot: The snapshot.
        horizon: Entries with a position below it count.
        member: ``int32[A]``, ring of each account or -1.
        links: The links that the rings were found with.
        known_bad: ``bool[A]``, accounts that people know to be bad.
        density: ``float64[R]``.
        p_value: ``float64[R]``.
        q_value: ``float64[R]``.
        nearest: For each ring the nodes of the way to the nearest known bad account.
        grouping: How links became communities: what is too weak, what asks for how much.
        config: How links are weighed.
        unweighed: The links before a learned model weighed them; None where none did.
        in_step: What behaviour alone would make of pairs, see `rings.minimal.behaviour_alone`; None where
            links say of themselves what is synchrony.
        compared: The rings held against honest stories without any verdict, where that was done already.
        everyone: ``int32[A]``, membership in all rings of the run, by its own numbers, where ``member`` holds
            only those that are told of; None where that is all of them.
    """

    snapshot: Snapshot
    horizon: int
    member: NDArray[np.int32]
    links: Links
    known_bad: NDArray[np.bool_]
    density: NDArray[np.float64]
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]
    nearest: list[list[int]]
    grouping: CommunityConfig = field(default_factory=CommunityConfig)
    config: LinkConfig = field(default_factory=LinkConfig)
    unweighed: Links | None = None
    in_step: Links | None = None
    compared: Honest | None = None
    everyone: NDArray[np.int32] | None = None

    @property
    def homes(self) -> NDArray[np.int32]:
        """``int32[A]``, membership in all rings of the run, see ``everyone``."""
        return self.member if self.everyone is None else self.everyone

    @cached_property
    def honest(self) -> Honest:
        """How well something honest explains each ring."""
        if self.compared is None:
            return honest(self.snapshot, self.member, self.known_bad, self.horizon)
        return with_verdicts(self.compared, self.member, self.known_bad)

    @cached_property
    def minimal(self) -> list[Minimal]:
        """The smallest set of things that keeps each ring together."""
        return minimal(self, self.grouping.weak)

    @cached_property
    def hubs_of(self) -> dict[int, list[tuple[int, int]]]:
        """The hubs that members of each ring have in common, with the number of members on them."""
        return hubs_touched(self)

    @cached_property
    def contacts(self) -> Contacts:
        """What the members touch."""
        return contacts(self.snapshot, self.member, self.horizon)

    @cached_property
    def accounts(self) -> list[NDArray[np.int64]]:
        """Accounts of each ring, ascending."""
        inside = np.flatnonzero(self.member >= 0)
        order = inside[np.argsort(self.member[inside], kind="stable")]
        ends = np.cumsum(np.bincount(self.member[inside], minlength=len(self.density)))
        return list(np.split(order, ends[:-1])) if len(ends) else []

    @cached_property
    def arrivals_ms(self) -> NDArray[np.int64]:
        """When the platform's accounts appeared, those that have a time, ascending."""
        seen_ms = np.asarray(self.snapshot.first_seen_ms)
        return np.sort(seen_ms[seen_ms != NO_TIME])

    @cached_property
    def commonness(self) -> dict[int, NDArray[np.int64]]:
        """For each kind how many accounts touch its nodes, ascending."""
        users = np.diff(view_of(self.snapshot).pairs(2 * len(self.contacts.sides))[0])
        kinds = np.asarray(self.snapshot.node_kind)
        touched = users > 0
        return {int(kind): np.sort(users[(kinds == kind) & touched]) for kind in np.unique(kinds[touched])}

    def as_common(self, node: int, users: int) -> float:
        """Share of the nodes of a node's kind that at least as many accounts touch.

        Args:
            node: The node.
            users: How many accounts touch it.

        Returns:
            A share, 0 to 1; smaller is rarer.
        """
        counts = self.commonness.get(int(self.snapshot.node_kind[node]))
        if counts is None or not len(counts):
            return 0.0
        return float(len(counts) - np.searchsorted(counts, users, side="left")) / len(counts)

    @cached_property
    def inner_links(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Links inside rings, ring by ring, the heaviest first, and where those of each ring begin."""
        left = self.member[self.links.a]
        inside = np.flatnonzero((left >= 0) & (left == self.member[self.links.b]))
        order = inside[np.lexsort((-self.links.weight[inside], left[inside]))]
        return order, np.searchsorted(left[order], np.arange(len(self.density) + 1)).astype(np.int64)

    @cached_property
    def n_bad(self) -> list[int]:
        """Members of each ring that people know to be bad."""
        bad = self.member[self.known_bad & (self.member >= 0)]
        return [int(count) for count in np.bincount(bad, minlength=len(self.density))]

    @cached_property
    def n_known_bad(self) -> int:
        """Accounts of the platform that people know to be bad."""
        return int(self.known_bad.sum())

    @cached_property
    def _names(self) -> dict[int, tuple[str, str, str, int]]:
        """Members and what they share, as `name_of` gives them: one by one, keys take long to read."""
        members = np.asarray(self.snapshot.account_node)[self.member >= 0]
        ways = np.array([node for way in self.nearest for node in way], np.int64)
        nodes = np.unique(np.concatenate([members, self.contacts.shared["node"].to_numpy(), ways]))
        kinds = np.asarray(self.snapshot.node_kind)[nodes].tolist()
        accounts = np.asarray(self.snapshot.node_account)[nodes].tolist()
        keys = self.snapshot.node_keys[nodes]
        return {
            node: self._name(key, kind, account)
            for node, key, kind, account in zip(nodes.tolist(), keys, kinds, accounts, strict=True)
        }

    def _name(self, key: str, kind: int, account: int) -> tuple[str, str, str, int]:
        info = self.snapshot.kinds[kind]
        return info.name, key, shown_key(key, public=info.public or account >= 0), account

    def name_of(self, node: int) -> tuple[str, str, str, int]:
        """What a node is called.

        Args:
            node: The node.

        Returns:
            Its kind, key and shown key, and the account that it is, -1 for others.
        """
        known = self._names.get(node)
        if known is None:
            snapshot = self.snapshot
            kind, account = int(snapshot.node_kind[node]), int(snapshot.node_account[node])
            known = self._names[node] = self._name(snapshot.node_keys[node], kind, account)
        return known

    def named(self, node: int) -> Evidence:
        """A node as evidence shows it.

        Args:
            node: The node.

        Returns:
            Its number, kind, key and shown key.
        """
        kind, key, shown, _ = self.name_of(node)
        return {"node": node, "kind": kind, "key": key, "shown": shown}


def evidence(grounds: Grounds) -> list[list[Evidence]]:
    """Gather the evidence of every ring.

    Args:
        grounds: What it is drawn from.

    Returns:
        For each ring its pieces of evidence, the most telling first, with ids ``e1``, ``e2`` …; every piece
        has a ``type``, a ``weight`` (bits by which it stands out from chance) and the counts behind it.
    """
    n_rings = len(grounds.density)
    found: list[list[Evidence]] = [[] for _ in range(n_rings)]
    for piece in _groups(grounds):
        found[piece.pop("ring")].append(piece)
    for source in (_identifiers, _counterparts, _interactions, strongest_ties):
        for piece in source(grounds):
            found[piece.pop("ring")].append(piece)
    arrivals = Arrivals(grounds)
    came = zip(arrivals.bursts(), arrivals.spans(), strict=True)
    for ring, (burst, whole) in enumerate(came):
        found[ring] += [] if burst is None else [burst]
        found[ring].append(whole)
        found[ring] += _bad(grounds, ring)
        found[ring].append(
            {
                "type": "chance",
                "weight": 0.0,
                "p_value": float(grounds.p_value[ring]),
                "q_value": float(grounds.q_value[ring]),
                "odds": [1, int(min(1_000_000, 1.0 / grounds.p_value[ring]))],
            }
        )
        found[ring].append(honest_story(grounds, ring, found[ring]))
        found[ring].sort(key=lambda piece: -piece["weight"])
        found[ring] = [{"id": f"e{at + 1}", **piece} for at, piece in enumerate(found[ring])]
        found[ring].append(minimal_set(grounds, ring, found[ring]))
    return found


def _groups(grounds: Grounds) -> list[Evidence]:
    links, member = grounds.links, grounds.member
    left = member[links.a]
    inside = (left >= 0) & (left == member[links.b])
    n_rings = len(grounds.density)
    count = np.bincount(left[inside], minlength=n_rings)
    beside = inside & ((links.source & SYNCHRONY) > 0)
    pairs = np.bincount(left[beside], minlength=n_rings)
    alone = np.bincount(left[beside & (links.source == SYNCHRONY)], minlength=n_rings)
    in_step = np.unique(np.concatenate([links.a[beside], links.b[beside]]))
    accounts = np.bincount(member[in_step], minlength=n_rings)
    pieces: list[Evidence] = []
    for ring in range(n_rings):
        pieces.append(
            {
                "ring": ring,
                "type": "group",
                "weight": 0.0,
                "accounts": len(grounds.accounts[ring]),
                "links": int(count[ring]),
                "density": round(float(grounds.density[ring]), 4),
            }
        )
        if pairs[ring]:
            pieces.append(
                {
                    "ring": ring,
                    "type": "synchrony",
                    "weight": float(alone[ring]) * 0.5,
                    "pairs": int(pairs[ring]),
                    "pairs_without_anything_shared": int(alone[ring]),
                    "accounts": int(accounts[ring]),
                    "of": len(grounds.accounts[ring]),
                }
            )
    return pieces


def _identifiers(grounds: Grounds) -> list[Evidence]:
    view = view_of(grounds.snapshot)
    pointers, neighbours, positions = view.pairs(2 * len(view.sides))
    users_of = {
        (ring, node): users
        for ring, node, users in grounds.contacts.shared.select("ring", "node", "users").iter_rows()
    }
    derived = derived_kinds(grounds.snapshot)
    pieces: list[Evidence] = []
    for ring, side, accounts, nodes, surprise in identifier_groups(grounds.contacts).iter_rows():
        outside: set[int] = set()
        entities: list[Evidence] = []
        for node in nodes:
            here = slice(int(pointers[node]), int(pointers[node + 1]))
            touching = np.asarray(view.node_account)[neighbours[here][positions[here] < grounds.horizon]]
            outside |= set(touching[grounds.member[touching] != ring].tolist())
            if len(entities) < _ENTITIES:
                users = users_of[ring, node]
                entities.append(
                    grounds.named(node)
                    | {"users": users, "as_common": round(grounds.as_common(node, users), 6)}
                )
        pieces.append(
            {
                "ring": ring,
                "type": "identifiers",
                "weight": float(surprise),
                "relation": view.sides[side].name,
                "kind": entities[0]["kind"],
                "kind_order": int(grounds.snapshot.node_kind[nodes[0]]),
                "derived": int(grounds.snapshot.node_kind[nodes[0]]) in derived,
                "accounts": len(accounts),
                "of": len(grounds.accounts[ring]),
                "n_entities": len(nodes),
                "others": len(outside),
                "entities": entities,
            }
        )
    return pieces


def _counterparts(grounds: Grounds) -> list[Evidence]:
    view = view_of(grounds.snapshot)
    pieces: list[Evidence] = []
    table: pl.DataFrame = named_nodes(grounds.contacts)
    # It is sorted by ring and place: one node of a ring after the other.
    for (_, place), group in groupby(table.iter_rows(named=True), itemgetter("ring", "place")):
        rows = list(group)
        ways = [row for row in rows if not view.sides[row["side"]].used]
        if not ways or place >= _COUNTERPARTS:
            continue
        node, ring = int(rows[0]["node"]), int(rows[0]["ring"])
        account = int(grounds.snapshot.node_account[node])
        accounts = sorted({account for row in ways for account in row["accounts"]})
        pieces.append(
            {
                "ring": ring,
                "type": "counterpart",
                "weight": float(rows[0]["surprise"]),
                **grounds.named(node),
                "accounts": len(accounts),
                "of": len(grounds.accounts[ring]),
                "users": int(rows[0]["users"]),
                "as_common": round(grounds.as_common(node, int(rows[0]["users"])), 6),
                "member": account >= 0 and int(grounds.member[account]) == ring,
                "ways": [
                    {
                        "relation": view.sides[row["side"]].name,
                        "way": _way(grounds, row["side"]),
                        "accounts": len(row["accounts"]),
                    }
                    for row in sorted(ways, key=lambda row: -len(row["accounts"]))
                ],
            }
        )
    return [piece for piece in pieces if piece["accounts"] >= 2]


def _way(grounds: Grounds, side: int) -> str:
    sides = grounds.contacts.sides
    relation = grounds.snapshot.relations[sides[side].relation]
    if not relation.directed:
        return "shared"
    return "sent" if sides[side].outgoing else "received"


def _interactions(grounds: Grounds) -> list[Evidence]:
    table = inner_interactions(grounds.snapshot, grounds.contacts, grounds.member)
    pieces: list[Evidence] = []
    counted = (
        table.with_columns(
            low=pl.min_horizontal("account", "other"), high=pl.max_horizontal("account", "other")
        )
        .group_by("ring", "side", maintain_order=True)
        .agg(
            pairs=pl.struct("low", "high").n_unique(),
            accounts=pl.col("account").append(pl.col("other")).n_unique(),
        )
    )
    for ring, side, pairs, accounts in counted.iter_rows():
        size = len(grounds.accounts[ring])
        usual = max(1e-9, size / grounds.snapshot.n_accounts)
        pieces.append(
            {
                "ring": ring,
                "type": "interactions",
                "weight": float(min(pairs, size) * np.log2(max(1.0, 1.0 / (usual * 64)))) * 0.25,
                "relation": grounds.contacts.sides[side].name,
                "pairs": pairs,
                "accounts": accounts,
                "of": size,
            }
        )
    return pieces


def _bad(grounds: Grounds, ring: int) -> list[Evidence]:
    if grounds.n_bad[ring]:
        accounts = grounds.accounts[ring]
        bad = accounts[grounds.known_bad[accounts]]
        return [
            {
                "type": "known_bad",
                "weight": 4.0 * len(bad),
                "accounts": len(bad),
                "of": len(accounts),
                "account_ids": [grounds.snapshot.account_ids[int(account)] for account in bad[:10]],
            }
        ]
    path = grounds.nearest[ring]
    if not path:
        return [{"type": "no_bad_near", "weight": 0.0, "steps": STEPS, "known": grounds.n_known_bad}]
    between = [grounds.named(node) for node in path]
    return [
        {
            "type": "nearest_bad",
            "weight": 4.0 / (len(path) - 1),
            "steps": len(path) - 1,
            "path": between,
            "account_id": between[-1]["key"],
        }
    ]
