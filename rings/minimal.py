r"""The smallest set of things that keeps a ring together, found greedily on who shares what.

A ring is seen as a graph of two sides: its members, and *pieces* that they are attached to. A piece is

- a node that at least two members touch (an identifier, a counterparty): without it nobody shares it;
- the dealings of one member with the others: without them nobody dealt with it;
- that members appeared side by side and behave alike, one piece for the whole ring.

Each link's strength :math:`-\ln(1 - w)` is dealt out over the pieces that its two ends have in common, by
how rare they are. Taking pieces away takes their strength off the links. A ring is *dissolved* when the
largest part of it that links of at least ``weak`` still hold together has fewer than half of its members,
or fewer than `SMALLEST`: no such part would come out as the same ring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from features import profiles, view_of
from graph_etl import NO_TIME
from rings.communities import root_of
from rings.honest import likeness, usual_likeness
from rings.kernel import synchrony_of
from rings.links import DIRECT, SHARED, SYNCHRONY, Links, derived_kinds
from rings.pairs import Pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.evidence import Grounds
    from rings.weighing import Weighing

SMALLEST: Final = 3
"""A part of fewer members is no ring."""

MOST_PIECES: Final = 24
"""Pieces of a set at most: what needs more has no short explanation, and says so."""

IN_STEP: Final = -1
"""In place of a node: that members appeared side by side and behave alike."""

# Links whose ends' behaviour is compared at once: bounds the memory, not the result.
_BLOCK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Pieces:
    """What holds rings together: ``P`` pieces of ``R`` rings, ``L`` links inside them.

    Attributes:
        ring_ptr: ``int64[R + 1]``, pieces of each ring.
        node: ``int32[P]``, the node, or `IN_STEP`.
        members: ``int32[P]``, members attached.
        weight: ``float64[P]``, weight of the ring's links that the piece carries.
        link_ptr: ``int64[R + 1]``, links of each ring.
        a: ``int32[L]``, an end of each link, counted within the ring from 0.
        b: ``int32[L]``, the other end.
        loose: ``float64[L]``, strength that no piece explains, and that nothing takes away.
        part_ptr: ``int64[L + 1]``, parts of each link's strength.
        part: ``int32[N]``, the piece that a part hangs on.
        other: ``int32[N]``, a second piece that takes it away as well, else the same: of a direct interaction
            the dealings of either end.
        strength: ``float64[N]``.
    """

    ring_ptr: NDArray[np.int64]
    node: NDArray[np.int32]
    members: NDArray[np.int32]
    weight: NDArray[np.float64]
    link_ptr: NDArray[np.int64]
    a: NDArray[np.int32]
    b: NDArray[np.int32]
    loose: NDArray[np.float64]
    part_ptr: NDArray[np.int64]
    part: NDArray[np.int32]
    other: NDArray[np.int32]
    strength: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Minimal:
    """The smallest set found for one ring.

    Attributes:
        nodes: The pieces, the one that carries most first: nodes, or `IN_STEP`.
        members: Members attached to each.
        carries: Share of the weight of the ring's links that each carries, alone.
        together: Share of that weight that is gone without all of them.
        left: Members of the largest part that is left.
        dissolves: Whether the ring is dissolved without them. None of them can then be left out.
    """

    nodes: list[int]
    members: list[int]
    carries: list[float]
    together: float
    left: int
    dissolves: bool


def minimal(grounds: Grounds, weak: float) -> list[Minimal]:
    """Find for each ring a smallest set of pieces without which it dissolves.

    Greedy: of the largest part that still holds together, the piece goes first that takes most of its links
    down to ``weak``, by weight (a link that needs several pieces taken away counts by the share of what it
    needs). Then every piece that can come back comes back, the first taken last, so that none can be left
    out. Near-linear: each of at most `MOST_PIECES` steps reads a ring's links once.

    Args:
        grounds: The run's rings and links.
        weak: Links below this weight hold nothing together.

    Returns:
        One for each ring.
    """
    pieces = pieces_of(grounds)
    sizes = np.array([len(accounts) for accounts in grounds.accounts], np.int64)
    n_rings = len(sizes)
    chosen = np.full((n_rings, MOST_PIECES), -1, np.int32)
    count, left = np.zeros(n_rings, np.int32), np.zeros(n_rings, np.int32)
    together = np.zeros(n_rings, np.float64)
    _dissolve_all(
        sizes,
        pieces.ring_ptr,
        pieces.link_ptr,
        pieces.a,
        pieces.b,
        pieces.loose,
        pieces.part_ptr,
        pieces.part,
        pieces.other,
        pieces.strength,
        -np.log1p(-weak),
        chosen,
        count,
        left,
        together,
    )
    total = np.zeros(n_rings)
    for ring in range(n_rings):
        here = slice(int(pieces.link_ptr[ring]), int(pieces.link_ptr[ring + 1]))
        total[ring] = _weight(pieces, here)
    found = []
    for ring in range(n_rings):
        rows = chosen[ring, : count[ring]].astype(np.int64) + pieces.ring_ptr[ring]
        rows = rows[np.lexsort((rows, -pieces.weight[rows]))]
        found.append(
            Minimal(
                nodes=[int(node) for node in pieces.node[rows]],
                members=[int(members) for members in pieces.members[rows]],
                carries=[float(share) for share in pieces.weight[rows] / max(total[ring], 1e-12)],
                together=float(together[ring]),
                left=int(left[ring]),
                dissolves=is_dissolved(int(left[ring]), int(sizes[ring])),
            )
        )
    return found


def is_dissolved(left: int, size: int) -> bool:
    """Whether nothing is left that would come out as the same ring.

    Args:
        left: Members of the largest part that still holds together.
        size: Members of the ring.

    Returns:
        True if the part has fewer than half of the members, or fewer than `SMALLEST`.

    Example:
        >>> is_dissolved(6, 12), is_dissolved(5, 12), is_dissolved(2, 3)
        (False, True, True)
    """
    return bool(_dissolved(left, size))


def _weight(pieces: Pieces, links: slice) -> float:
    ends = pieces.part_ptr[links.start : links.stop + 1]
    if len(ends) < 2:
        return 0.0
    sums = np.concatenate([[0.0], np.cumsum(pieces.strength[ends[0] : ends[-1]])])
    strength = pieces.loose[links] + np.diff(sums[ends - ends[0]])
    return float(-np.expm1(-strength).sum())


def pieces_of(grounds: Grounds) -> Pieces:
    """Deal out the strength of rings' links over what their ends have in common.

    Args:
        grounds: The run's rings and links.

    Returns:
        The pieces.
    """
    snapshot, links, member = grounds.snapshot, grounds.links, grounds.member
    n_rings = len(grounds.density)
    ring, account, node = _attached(grounds)
    # Pieces: (ring, node) that at least two members are attached to, and one for synchrony, the last.
    n_nodes = max(1, snapshot.n_nodes)
    key = ring * n_nodes + node
    keys, place, attached = np.unique(key, return_inverse=True, return_counts=True)
    shared = attached >= 2
    number = np.cumsum(shared) - 1
    kept = shared[place]
    keys = keys[shared]
    of_ring = keys // n_nodes
    own = number[place[kept]]  # piece before those for synchrony are put between
    own = own + ring[kept]
    order = np.lexsort((own, account[kept]))
    list_of, listed = account[kept][order], own[order]
    list_ptr = np.searchsorted(list_of, np.arange(snapshot.n_accounts + 1))
    ring_ptr = np.searchsorted(of_ring, np.arange(n_rings + 1)) + np.arange(n_rings + 1)
    total = int(ring_ptr[-1])
    piece_node = np.full(total, IN_STEP, np.int32)
    at = np.arange(len(keys)) + of_ring
    piece_node[at] = keys % n_nodes
    members = np.zeros(total, np.int32)
    members[at] = attached[shared]
    raw = np.zeros(total)
    view = view_of(snapshot)
    users = np.maximum(np.diff(view.pairs(2 * len(view.sides))[0])[keys % n_nodes], 2)
    kinds = np.asarray(snapshot.node_kind)[keys % n_nodes]
    derived = np.isin(kinds, list(derived_kinds(snapshot)))
    raw[at] = np.where(derived, grounds.config.derived, 1.0) / np.maximum(1.0, np.log2(users))
    left = member[links.a]
    inside = np.flatnonzero((left >= 0) & (left == member[links.b]))
    inside = inside[np.argsort(left[inside], kind="stable")]
    a, b, home = links.a[inside], links.b[inside], left[inside].astype(np.int64)
    strength = _strength_of(links.weight[inside])
    source = links.source[inside]
    if grounds.in_step is None:
        in_step = _synchrony(grounds, a, b, source)
    else:
        in_step = _strength_in(grounds.in_step, a, b, snapshot.n_accounts)
    alone = (source & (SHARED | DIRECT)) == 0
    in_step = np.where(alone & (source & SYNCHRONY > 0), strength, np.minimum(in_step, strength))
    part_ptr, part, other, parts, loose = _deal_out(
        a.astype(np.int64),
        b.astype(np.int64),
        strength,
        in_step,
        ring_ptr[home + 1] - 1,
        list_ptr,
        listed,
        raw,
        np.where(piece_node >= 0, np.asarray(snapshot.node_account)[piece_node], -1).astype(np.int64),
    )
    weight = -np.expm1(-strength)
    share = parts / np.repeat(np.maximum(strength, 1e-12), np.diff(part_ptr))
    carried = np.repeat(weight, np.diff(part_ptr)) * share
    by_piece = np.bincount(part, carried, minlength=total)
    twice = part != other
    by_piece += np.bincount(other[twice], carried[twice], minlength=total)
    stepping = in_step > 0.0
    ends = np.unique(np.concatenate([a[stepping], b[stepping]]))
    if n_rings:
        members[ring_ptr[1:] - 1] = np.bincount(member[ends], minlength=n_rings)
    local = np.zeros(snapshot.n_accounts, np.int32)
    for accounts in grounds.accounts:
        local[accounts] = np.arange(len(accounts), dtype=np.int32)
    return Pieces(
        ring_ptr=ring_ptr.astype(np.int64),
        node=piece_node,
        members=members,
        weight=by_piece.astype(np.float64),
        link_ptr=np.searchsorted(home, np.arange(n_rings + 1)).astype(np.int64),
        a=local[a],
        b=local[b],
        loose=loose,
        part_ptr=part_ptr,
        part=(part - ring_ptr[np.repeat(home, np.diff(part_ptr))]).astype(np.int32),
        other=(other - ring_ptr[np.repeat(home, np.diff(part_ptr))]).astype(np.int32),
        strength=parts,
    )


def behaviour_alone(weighing: Weighing, pairs: Pairs, member: NDArray[np.int32]) -> Links | None:
    """What behaviour alone would make of pairs in rings, if they shared nothing and never dealt together.

    Args:
        weighing: How pairs are weighed.
        pairs: The pairs of the whole platform: how a pair looks depends on those that its ends are in.
        member: ``int32[A]``, ring of each account or -1.

    Returns:
        Links; None where no model has learned to weigh behaviour by itself.
    """
    if weighing.model is None:
        return None
    none = np.zeros(0, np.int32)
    nothing = Links(none, none, none.astype(np.float32), none.astype(np.uint8), none)
    alike = Pairs.of(nothing, pairs.neighbours, pairs.profiles, pairs.first_seen_ms)
    ring = member[alike.links.a]
    inside = (ring >= 0) & (ring == member[alike.links.b])
    if not inside.any():
        return nothing
    return weighing.weighed(nothing, replace(alike, links=alike.links.take(inside)))


def _synchrony(
    grounds: Grounds, a: NDArray[np.int32], b: NDArray[np.int32], source: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Strength of synchrony in links inside rings, as `LinkConfig` has it.

    The usual likeness of accounts that appeared beside an account is taken to be that of random ones: the
    links do not keep it.
    """
    snapshot, strengths = grounds.snapshot, grounds.config.strengths(grounds.snapshot)
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    found = np.zeros(len(a), np.float64)
    rows = np.flatnonzero(
        (source & SYNCHRONY > 0) & (first_seen_ms[a] != NO_TIME) & (first_seen_ms[b] != NO_TIME)
    )
    if not len(rows):
        return found
    usual = float(usual_likeness(snapshot, grounds.horizon).mean())
    for start in range(0, len(rows), _BLOCK):
        here = rows[start : start + _BLOCK]
        accounts, place = np.unique(np.concatenate([a[here], b[here]]), return_inverse=True)
        table = profiles(snapshot, accounts, grounds.horizon)
        alike = likeness(table, place[: len(here)], place[len(here) :])
        gap_ms = np.abs(first_seen_ms[a[here]] - first_seen_ms[b[here]])
        found[here] = _strength_of(_synchrony_rows(strengths, alike, usual, gap_ms))
    return found


@njit(cache=True)
def _synchrony_rows(strengths: Any, alike: Any, usual: float, gap_ms: Any) -> Any:
    out = np.zeros(len(alike), np.float64)
    for row in range(len(alike)):
        if alike[row] > usual:
            out[row] = synchrony_of(strengths, alike[row], usual, gap_ms[row])
    return out


def _strength_of(weight: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Strengths of links: unlike weights they add up. A weight of 1 counts as .999."""
    return np.asarray(-np.log1p(-np.minimum(weight.astype(np.float64), 0.999)), np.float64)


def _strength_in(
    links: Links, a: NDArray[np.int32], b: NDArray[np.int32], n_accounts: int
) -> NDArray[np.float64]:
    """Strength of some pairs in links, 0 where they hold none."""
    if not len(links):
        return np.zeros(len(a))
    key = links.a.astype(np.int64) * n_accounts + links.b
    wanted = a.astype(np.int64) * n_accounts + b
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return _strength_of(np.where(key[place] == wanted, links.weight[place], 0.0))


def _attached(grounds: Grounds) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Who is attached to what, each once: what a member touches, and itself where members deal with it."""
    table = grounds.contacts.touches
    account = table["account"].to_numpy().astype(np.int64)
    node = table["node"].to_numpy().astype(np.int64)
    ring = table["ring"].to_numpy().astype(np.int64)
    other = np.asarray(grounds.snapshot.node_account)[node].astype(np.int64)
    within = (other >= 0) & (grounds.member[np.maximum(other, 0)] == ring)
    account = np.concatenate([account, other[within]])
    node = np.concatenate([node, node[within]])
    ring = np.concatenate([ring, ring[within]])
    _, first = np.unique(account * max(1, grounds.snapshot.n_nodes) + node, return_index=True)
    return ring[first], account[first], node[first]


@njit(cache=True)
def _deal_out(
    a: Any, b: Any, strength: Any, in_step: Any, step: Any, ptr: Any, listed: Any, raw: Any, account: Any
) -> Any:
    """Split the strength of each link over the pieces that both ends are attached to."""
    n_links = len(a)
    part_ptr = np.zeros(n_links + 1, np.int64)
    for link in range(n_links):
        count = 0
        left, right = ptr[a[link]], ptr[b[link]]
        while left < ptr[a[link] + 1] and right < ptr[b[link] + 1]:
            if listed[left] == listed[right]:
                count += 1
                left += 1
                right += 1
            elif listed[left] < listed[right]:
                left += 1
            else:
                right += 1
        part_ptr[link + 1] = part_ptr[link] + count + (1 if in_step[link] > 0.0 else 0)
    part = np.zeros(part_ptr[n_links], np.int64)
    other = np.zeros(part_ptr[n_links], np.int64)
    parts = np.zeros(part_ptr[n_links], np.float64)
    loose = np.zeros(n_links, np.float64)
    end = 0
    for link in range(n_links):
        start = end
        left, right = ptr[a[link]], ptr[b[link]]
        total = 0.0
        direct = -1
        while left < ptr[a[link] + 1] and right < ptr[b[link] + 1]:
            if listed[left] == listed[right]:
                piece = listed[left]
                is_end = account[piece] == a[link] or account[piece] == b[link]
                if is_end and direct >= 0:
                    # One interaction, in the dealings of both of its ends.
                    other[direct] = piece
                else:
                    part[end] = piece
                    other[end] = piece
                    # A direct interaction says more than one thing shared among many.
                    parts[end] = 1.0 if is_end else raw[piece]
                    total += parts[end]
                    if is_end:
                        direct = end
                    end += 1
                left += 1
                right += 1
            elif listed[left] < listed[right]:
                left += 1
            else:
                right += 1
        rest = strength[link] - in_step[link]
        if total == 0.0:
            if in_step[link] > 0.0:
                part[end] = step[link]
                other[end] = step[link]
                parts[end] = strength[link]
                end += 1
            else:
                loose[link] = strength[link]
        else:
            for index in range(start, end):
                parts[index] *= rest / total
            if in_step[link] > 0.0:
                part[end] = step[link]
                other[end] = step[link]
                parts[end] = in_step[link]
                end += 1
        part_ptr[link] = start
    part_ptr[n_links] = end
    return part_ptr, part[:end], other[:end], parts[:end], loose


@njit(cache=True)
def _parts_left(size: int, a: Any, b: Any, strength: Any, least: float, parent: Any, count: Any) -> int:
    """Join what links of at least ``least`` hold together; return the root of the largest part."""
    for at in range(size):
        parent[at] = at
        count[at] = 0
    for link in range(len(a)):
        if strength[link] >= least:
            left, right = root_of(parent, a[link]), root_of(parent, b[link])
            if left != right:
                parent[max(left, right)] = min(left, right)
    best = 0
    for at in range(size):
        parent[at] = root_of(parent, at)
        count[parent[at]] += 1
    for at in range(size):
        if count[at] > count[best]:
            best = at
    return best


@njit(cache=True)
def _strengths(ptr: Any, part: Any, other: Any, parts: Any, loose: Any, gone: Any, out: Any) -> None:
    base = ptr[0]
    for link in range(len(loose)):
        out[link] = loose[link]
        for at in range(ptr[link] - base, ptr[link + 1] - base):
            if not gone[part[at]] and not gone[other[at]]:
                out[link] += parts[at]


@njit(cache=True)
def _dissolved(left: int, size: int) -> bool:
    return 2 * left < size or left < SMALLEST


@njit(cache=True)
def _dissolve(
    size: int,
    n_pieces: int,
    a: Any,
    b: Any,
    loose: Any,
    ptr: Any,
    part: Any,
    other: Any,
    parts: Any,
    least: float,
    chosen: Any,
) -> Any:
    """One ring: fills ``chosen``, returns how many, the members left together and the share carried."""
    gone = np.zeros(n_pieces, np.bool_)
    now = np.empty(len(a), np.float64)
    parent = np.empty(size, np.int64)
    count = np.empty(size, np.int64)
    gain = np.empty(n_pieces, np.float64)
    base = ptr[0]
    _strengths(ptr, part, other, parts, loose, gone, now)
    whole = 0.0
    for link in range(len(a)):
        whole += 1.0 - np.exp(-now[link])
    best = _parts_left(size, a, b, now, least, parent, count)
    n_chosen = 0
    while not _dissolved(count[best], size) and n_chosen < len(chosen):
        gain[:] = 0.0
        for link in range(len(a)):
            if now[link] < least or parent[a[link]] != best:
                continue
            weight = 1.0 - np.exp(-now[link])
            needed = now[link] - least + 1e-9
            for at in range(ptr[link] - base, ptr[link + 1] - base):
                if gone[part[at]] or gone[other[at]]:
                    continue
                share = weight * min(1.0, parts[at] / needed)
                gain[part[at]] += share
                if other[at] != part[at]:
                    gain[other[at]] += share
        piece = int(np.argmax(gain))
        if gain[piece] <= 0.0:
            break
        gone[piece] = True
        chosen[n_chosen] = piece
        n_chosen += 1
        _strengths(ptr, part, other, parts, loose, gone, now)
        best = _parts_left(size, a, b, now, least, parent, count)
    if _dissolved(count[best], size):
        for index in range(n_chosen - 1, -1, -1):
            gone[chosen[index]] = False
            _strengths(ptr, part, other, parts, loose, gone, now)
            best = _parts_left(size, a, b, now, least, parent, count)
            if not _dissolved(count[best], size):
                gone[chosen[index]] = True
        kept = 0
        for index in range(n_chosen):
            if gone[chosen[index]]:
                chosen[kept] = chosen[index]
                kept += 1
        for index in range(kept, n_chosen):
            chosen[index] = -1
        n_chosen = kept
        _strengths(ptr, part, other, parts, loose, gone, now)
        best = _parts_left(size, a, b, now, least, parent, count)
    rest = 0.0
    for link in range(len(a)):
        rest += 1.0 - np.exp(-now[link])
    return n_chosen, count[best], 1.0 - rest / max(whole, 1e-12)


@njit(cache=True)
def _dissolve_all(
    sizes: Any,
    ring_ptr: Any,
    link_ptr: Any,
    a: Any,
    b: Any,
    loose: Any,
    part_ptr: Any,
    part: Any,
    other: Any,
    parts: Any,
    least: float,
    chosen: Any,
    count: Any,
    left: Any,
    together: Any,
) -> None:
    for ring in range(len(sizes)):
        low, high = link_ptr[ring], link_ptr[ring + 1]
        first, last = part_ptr[low], part_ptr[high]
        count[ring], left[ring], together[ring] = _dissolve(
            sizes[ring],
            ring_ptr[ring + 1] - ring_ptr[ring],
            a[low:high],
            b[low:high],
            loose[low:high],
            part_ptr[low : high + 1],
            part[first:last],
            other[first:last],
            parts[first:last],
            least,
            chosen[ring],
        )
