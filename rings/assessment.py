"""Evidence on a ring as a whole: strongest tie against coincidence, honest story, smallest set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from features import view_of
from rings.honest import ALIKE, DIFFERENT, EXPLAINED, HOUSEHOLD
from rings.links import derived_kinds
from rings.minimal import IN_STEP

if TYPE_CHECKING:
    from rings.evidence import Grounds

Evidence = dict[str, Any]


def strongest_ties(grounds: Grounds) -> list[Evidence]:
    """What says most of all that is shared, how rare it is, and how much sharing coincidence would give.

    Coincidence keeps how much each account touches and how popular each node is (configuration model): of a
    node that ``u`` accounts touch, members that touch ``d`` nodes of its kind in all are expected to be
    ``u d / E`` where ``E`` is the number of touches of that kind on the platform; at least one for each
    account, for of a kind that few touch nothing could be told.

    Args:
        grounds: The run's rings.

    Returns:
        One piece for each ring that shares something, with ``ring``, its number.
    """
    snapshot = grounds.snapshot
    view = view_of(snapshot)
    shared, touches = grounds.contacts.shared, grounds.contacts.touches
    kinds = np.asarray(snapshot.node_kind)
    users = np.diff(view.pairs(2 * len(view.sides))[0])
    plain = np.asarray(view.hub_since) >= grounds.horizon
    platform = np.bincount(kinds[plain], users[plain], minlength=len(snapshot.kinds))
    once = touches.select("ring", "account", "node").unique()
    mine = np.bincount(
        once["ring"].to_numpy().astype(np.int64) * len(snapshot.kinds) + kinds[once["node"].to_numpy()],
        minlength=len(grounds.density) * len(snapshot.kinds),
    )
    derived = kinds[shared["node"].to_numpy()]
    derived = np.isin(derived, list(derived_kinds(snapshot)))
    first = (
        shared.with_columns(derived=derived)
        .sort("ring", "derived", "place")
        .group_by("ring", maintain_order=True)
        .first()
    )
    pieces: list[Evidence] = []
    for row in first.iter_rows(named=True):
        ring, node = row["ring"], row["node"]
        kind = int(kinds[node])
        chance = (
            float(mine[ring * len(snapshot.kinds) + kind])
            * row["users"]
            / max(snapshot.n_accounts, platform[kind])
        )
        account = int(snapshot.node_account[node])
        pieces.append(
            {
                "ring": ring,
                "type": "strongest",
                "weight": 0.0,
                **grounds.named(node),
                "accounts": row["members"],
                "of": len(grounds.accounts[ring]),
                "users": row["users"],
                "platform": snapshot.n_accounts,
                "as_common": round(grounds.as_common(node, row["users"]), 6),
                "by_chance": round(min(chance, row["users"], len(grounds.accounts[ring])), 3),
                "member": account >= 0 and int(grounds.member[account]) == ring,
                "used": any(relation.used and kind in relation.to_kinds for relation in snapshot.relations),
            }
        )
    return pieces


def honest_story(grounds: Grounds, ring: int, pieces: list[Evidence]) -> Evidence:
    """The best honest explanation, what speaks for it and what against.

    Args:
        grounds: The run's rings.
        ring: Number of the ring.
        pieces: Its other pieces of evidence.

    Returns:
        A piece of evidence.
    """
    found = grounds.honest
    size = len(grounds.accounts[ring])
    by_type = {piece["type"]: piece for piece in pieces}
    strongest, arrivals = by_type.get("strongest"), by_type["arrivals"]
    if strongest is None:
        story = (
            "same_time" if "burst" in by_type else "acquaintances" if "interactions" in by_type else "chance"
        )
    elif strongest["used"]:
        story = "household" if size <= HOUSEHOLD else "office_or_campus"
    else:
        story = "same_account" if strongest["kind"] == grounds.snapshot.kinds[0].name else "same_counterpart"
    speaks_for, against = [], []
    alike = float(found.alike[ring])
    if alike >= ALIKE:
        against.append("alike")
    elif alike < DIFFERENT:
        speaks_for.append("different")
    if float(found.log_odds["arrivals"][ring]) >= 1.0 and arrivals["span_ms"] > 0:
        speaks_for.append("apart")
    elif float(found.log_odds["arrivals"][ring]) <= -1.0:
        against.append("together")
    bad = grounds.n_bad[ring]
    if bad:
        against.append("known_bad")
    probability = float(found.probability[ring])
    odds = probability / max(1e-12, 1.0 - probability)
    ratio = [_rounded(odds), 1] if odds >= 1.0 else [1, _rounded(1.0 / odds)]
    piece: Evidence = {
        "type": "honest",
        "weight": 0.0,
        "story": story,
        "accounts": size,
        "kind": None if strongest is None else strongest["kind"],
        "one_for_all": strongest is not None and strongest["accounts"] == size,
        "probability": round(probability, 4),
        "odds": ratio,
        "explained_benign": probability >= EXPLAINED,
        "alike": round(alike, 3),
        "for": speaks_for,
        "against": against,
        "known_bad": bad,
        "log_odds": {name: round(float(values[ring]), 2) + 0.0 for name, values in found.log_odds.items()},
    }
    if "span" in arrivals:
        piece["span"] = arrivals["span"]
    return piece


def _rounded(odds: float) -> int:
    """Odds to two digits: more would claim more than so rough a comparison knows."""
    return int(float(f"{min(odds, 1e6):.2g}"))


def minimal_set(grounds: Grounds, ring: int, pieces: list[Evidence]) -> Evidence:
    """The smallest set of things that keeps the ring together, each with the evidence that tells of it.

    Args:
        grounds: The run's rings.
        ring: Number of the ring.
        pieces: Its other pieces of evidence, with their ids.

    Returns:
        A piece of evidence, with the id that follows theirs.
    """
    found = grounds.minimal[ring]
    told: dict[int, list[str]] = {}
    in_step: list[str] = []
    dealings: list[str] = []
    for piece in pieces:
        for node in [piece, *piece.get("entities", [])]:
            if "node" in node:
                told.setdefault(node["node"], []).append(piece["id"])
        if piece["type"] == "synchrony":
            in_step.append(piece["id"])
        if piece["type"] == "interactions":
            dealings.append(piece["id"])
    things: list[Evidence] = []
    for node, members, carries in zip(found.nodes, found.members, found.carries, strict=True):
        share = round(min(1.0, carries), 4)
        if node == IN_STEP:
            things.append({"what": "in_step", "accounts": members, "carries": share, "evidence": in_step})
            continue
        account = int(grounds.snapshot.node_account[node])
        own = account >= 0 and int(grounds.member[account]) == ring
        things.append(
            {
                "what": "dealings" if own else "shared",
                **grounds.named(node),
                "accounts": members,
                "carries": share,
                "evidence": told.get(node, []) + (dealings if own else []),
            }
        )
    return {
        "id": f"e{len(pieces) + 1}",
        "type": "minimal",
        "weight": 0.0,
        "dissolves": found.dissolves,
        "things": things,
        "n_things": len(things),
        "carries": round(found.together, 4),
        "left": found.left,
        "of": len(grounds.accounts[ring]),
    }
