"""Groups that a person confirmed to be benign: silent until they change.

A ring is such a group if it has its id, or if at least half of the smaller of the two is in both. It has
changed, and is listed again, as soon as one of these holds:

* at least two accounts came to it that were not in it when it was confirmed, and they are at least a fifth of
  the group confirmed (`MORE`);
* a member is confirmed bad that was not then;
* evidence of a kind holds for at least two and a fifth of its members that told of nobody then: another kind
  of identifier shared, dealings of another type, another kind of counterpart; for having come or behaved
  alike, half of the members.

What is compared with is the group as it was confirmed, not as it was in the last run: a group cannot grow
unnoticed by one account at a time. What it loses is no change.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    Evidence = Mapping[str, Any]

Status = Literal["open", "benign_confirmed", "benign_changed"]
OPEN: Final = "open"
CONFIRMED: Final = "benign_confirmed"
CHANGED: Final = "benign_changed"

MORE: Final = 0.2
"""Share of a confirmed group that has to be new, or that evidence of a new kind has to tell of."""

# Two, at least: one account that shares a thing with a family has come by coincidence.
_LEAST: Final = 2
# A ring is the group confirmed if at least this share of the smaller of the two is in both.
_SAME: Final = 0.5
_IN_TIME: Final = frozenset({"burst", "synchrony"})
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A group that a person called benign.

    Attributes:
        ring: Id of the ring that was confirmed.
        members: Account ids of its members then.
        known_bad: Those of them that were confirmed bad then.
        evidence: Kinds of evidence that told of it then, as `kinds_of` names them.
        confirmed_ms: When, milliseconds of Unix time.
        source: Who said so: ``analyst``, ``system``, ``appeal``, ``rule`` or ``partner``.
        reason: Why, in words.
        number: Its number in the registry.
    """

    ring: str
    members: frozenset[str]
    known_bad: frozenset[str]
    evidence: frozenset[str]
    confirmed_ms: int
    source: str = "analyst"
    reason: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a confirmed group.

    Attributes:
        confirmed: The group.
        n_members: Accounts in the ring now.
        new_accounts: Members that were not in the group when it was confirmed.
        new_bad: Members that are confirmed bad and were not then.
        new_evidence: Kinds of evidence that did not tell of it then.
    """

    confirmed: Confirmed
    n_members: int
    new_accounts: int
    new_bad: int
    new_evidence: tuple[str, ...] = field(default=())

    @property
    def grown(self) -> bool:
        """Whether enough accounts came to it."""
        return self.new_accounts >= enough(len(self.confirmed.members))

    @property
    def status(self) -> Status:
        """``benign_changed`` as soon as there is something that nobody could have looked at."""
        return CHANGED if self.grown or self.new_bad or self.new_evidence else CONFIRMED


def enough(of: int) -> int:
    """How many accounts of a group make a change.

    Args:
        of: Accounts of the group.

    Returns:
        A fifth of them, at least two.

    Example:
        >>> enough(3), enough(10), enough(11), enough(40)
        (2, 2, 3, 8)
    """
    return max(_LEAST, math.ceil(MORE * of - 1e-9))


def kinds_of(evidence: Iterable[Evidence]) -> Counter[str]:
    """The kinds of evidence that tell of a ring.

    Args:
        evidence: Its pieces.

    Returns:
        How many of its members each kind tells of: ``identifiers:device``, ``interactions:gift``,
        ``counterpart:wallet``, ``burst``, ``synchrony``. What is derived from an identifier repeats it and is
        left out.
    """
    found: Counter[str] = Counter()
    for piece in evidence:
        name = {"identifiers": "kind", "interactions": "relation", "counterpart": "kind"}.get(piece["type"])
        if name is not None and not piece.get("derived"):
            kind = f"{piece['type']}:{piece[name]}"
        elif piece["type"] in _IN_TIME:
            kind = piece["type"]
        else:
            continue
        found[kind] = max(found[kind], int(piece["accounts"]))
    return found


def standing_of(
    confirmed: Confirmed, members: Collection[str], known_bad: Collection[str], evidence: Iterable[Evidence]
) -> Standing:
    """Hold a ring against the group as it was confirmed.

    Args:
        confirmed: The group.
        members: Account ids of the ring's members.
        known_bad: Those of them that are confirmed bad.
        evidence: The ring's pieces of evidence.

    Returns:
        What is new.
    """
    least = enough(len(members))
    new = [
        kind
        for kind, accounts in kinds_of(evidence).items()
        if kind not in confirmed.evidence
        and accounts >= (max(least, _HALF * len(members)) if kind in _IN_TIME else least)
    ]
    return Standing(
        confirmed,
        len(members),
        len(set(members) - confirmed.members),
        len(set(known_bad) - confirmed.known_bad),
        tuple(sorted(new)),
    )


def matched(groups: Sequence[Confirmed], rings: Mapping[str, Collection[str]]) -> dict[str, Confirmed]:
    """Find the rings that are confirmed groups.

    Args:
        groups: The groups.
        rings: Account ids of the members of each ring.

    Returns:
        By ring id its group: the one that has most of its members, of several the one confirmed last. A ring
        that bears the id of a group and shares at least two members with it is that group, too.
    """
    home = {account: ring for ring, members in rings.items() for account in members}
    best: dict[str, tuple[int, int, int]] = {}
    found: dict[str, Confirmed] = {}
    for group in groups:
        shared = Counter(home[account] for account in group.members if account in home)
        for ring, count in shared.items():
            smaller = min(len(group.members), len(rings[ring]))
            if count < _LEAST or (ring != group.ring and count < _SAME * smaller):
                continue
            rank = (count, group.confirmed_ms, group.number)
            if rank > best.get(ring, (0, 0, 0)):
                best[ring], found[ring] = rank, group
    return found


def confirmed_piece(standing: Standing) -> dict[str, Any]:
    """What a person said of a ring, as a piece of evidence.

    Args:
        standing: What became of the group.

    Returns:
        The piece, without an id.
    """
    return {
        "type": "confirmed",
        "weight": 0.0,
        "status": standing.status,
        "confirmed_ms": standing.confirmed.confirmed_ms,
        "source": standing.confirmed.source,
        "accounts": standing.n_members,
        "of": len(standing.confirmed.members),
        "new_accounts": standing.new_accounts,
        "grown": standing.grown,
        "new_bad": standing.new_bad,
        "new_evidence": list(standing.new_evidence),
    }
