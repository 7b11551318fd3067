"""Ring ids that last: a ring keeps its id while most of it stays together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A ring goes on in another if at least this share of the smaller of the two is in both.
_CONTINUES = 0.5
# A ring is a parent if at least this share of it went over.
_PARENT = 0.2


@dataclass(frozen=True, slots=True)
class Identities:
    """Names of the rings of a run.

    Attributes:
        ids: ``R`` ids, one for each ring.
        parents: For each ring the other rings of the run before that it took members from.
        ended: Ids of the run before that no ring bears any more, each with the rings that took its members.
    """

    ids: list[str]
    parents: list[list[str]]
    ended: dict[str, list[str]]


def born_id(members: Sequence[str], taken: set[str] | frozenset[str] = frozenset()) -> str:
    """The id of a ring that is new.

    Args:
        members: Account ids of its members.
        taken: Ids that cannot be given again.

    Returns:
        ``r`` and ten hex digits, a hash of the members.
    """
    text = "\0".join(sorted(members))
    for salt in range(1_000_000):
        name = "r" + hashlib.sha256(f"{salt}\0{text}".encode()).hexdigest()[:10]
        if name not in taken:
            return name
    message = "no free ring id found; give the rings of the run before fewer members in common"
    raise ValueError(message)


def identify(rings: Sequence[Sequence[str]], previous: Mapping[str, Sequence[str]]) -> Identities:
    """Give rings the ids of the rings of the run before that they go on from.

    Pairs are matched by the number of members in both, greatest first, each ring once; the pair must hold at
    least half of the smaller of the two. What is left over is new.

    Args:
        rings: Account ids of each ring's members; no account in two rings.
        previous: Account ids of the members of the rings of the run before, by ring id.

    Returns:
        The ids, with what split, merged and ended.
    """
    home = {account: ring for ring, members in previous.items() for account in members}
    shared: dict[tuple[int, str], int] = {}
    for at, members in enumerate(rings):
        for account in members:
            before = home.get(account)
            if before is not None:
                shared[at, before] = shared.get((at, before), 0) + 1
    ids: list[str | None] = [None] * len(rings)
    kept: set[str] = set()
    for (at, before), count in sorted(
        shared.items(),
        key=lambda item: (
            -item[1],
            abs(len(rings[item[0][0]]) - len(previous[item[0][1]])),
            item[0][1],
            min(rings[item[0][0]]),
        ),
    ):
        smaller = min(len(rings[at]), len(previous[before]))
        if ids[at] is None and before not in kept and count >= 2 and count >= _CONTINUES * smaller:
            ids[at] = before
            kept.add(before)
    taken = set(previous)
    named: list[str] = []
    for at, members in enumerate(rings):
        name = ids[at] or born_id(members, taken)
        taken.add(name)
        named.append(name)
    parents: list[list[str]] = [[] for _ in rings]
    heirs: dict[str, list[str]] = {}
    for (at, before), count in sorted(shared.items()):
        if count >= 2 and count >= _PARENT * len(previous[before]):
            heirs.setdefault(before, []).append(named[at])
            if before != named[at]:
                parents[at].append(before)
    ended = {before: heirs.get(before, []) for before in previous if before not in kept}
    return Identities(named, parents, ended)
