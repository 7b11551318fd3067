"""What is known of pairs and the trees that judge it, compiled: a pair's row is made and walked at once.

LightGBM wants all rows as one table and takes longer. The sums are taken in its order, so
the probabilities are its own, bit by bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rings.kernel import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAIN: Final = 23
"""Columns of a pair before those of the profiles."""

# LightGBM's decision_type: bit 0 a split on categories, bit 1 what is missing goes left, bits 2 and 3 what is
# missing: 0 nothing (NaN counts as 0), 2 NaN.
_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_NAN: Final = 2
# Trees walked side by side: the next step of one need not wait for that of another.
_ABREAST: Final = 10


class PairColumns(NamedTuple):
    """What the rows of pairs are made from; by pair, by account (``A``) or by pair of neighbours."""

    a: Any
    b: Any
    weight: Any
    source: Any
    log_gap: Any
    log_places: Any
    log_common: Any
    common: Any
    common_weight: Any
    common_like: Any
    neighbour: Any
    count: Any
    total: Any
    strongest: Any
    liked: Any
    better: Any
    worse: Any
    reach: Any
    middle: Any
    table: Any
    profiles: Any


@dataclass(frozen=True, slots=True)
class Forest:
    """Boosted trees as the walk reads them.

    Attributes:
        column: ``uint32[N]``, column of each node, plus the number of columns where NaN goes left.
        limit: ``float32[N]``, up to which a value goes left.
        child: ``uint32[2 N]``, where node ``n`` leads: ``2 n`` on the left, ``2 n + 1`` on the right; a leaf
            leads to itself.
        leaf: ``float64[N]``, value of each leaf.
        root: ``uint64[T']``, the shallowest tree first, filled up with empty trees to whole rows of
            `_ABREAST`.
        depth: ``uint64[T' / _ABREAST]``, steps that each row of trees takes.
        place: ``uint64[T']``, place of each of them in the model's order, in which they are summed.
        n_trees: Trees of the model, ``T``.
        zero: ``bool[F]``, columns in which NaN counts as 0.
    """

    column: NDArray[np.uint32]
    limit: NDArray[np.float32]
    child: NDArray[np.uint32]
    leaf: NDArray[np.float64]
    root: NDArray[np.uint64]
    depth: NDArray[np.uint64]
    place: NDArray[np.uint64]
    n_trees: int
    zero: NDArray[np.bool_]


def read_forest(text: str) -> Forest:
    """Read trees as LightGBM writes them.

    Args:
        text: As ``Booster.model_to_string`` gives it, of a binary model that splits on numbers alone.

    Returns:
        The trees.

    Raises:
        ValueError: If the text is damaged or of another sort of model.
    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _fields(head)
    width = int(header["max_feature_idx"]) + 1
    if not header["objective"].startswith("binary sigmoid:1") or header["num_tree_per_iteration"] != "1":
        message = f"a model of objective {header['objective']!r} cannot be walked; only binary ones can"
        raise ValueError(message)
    feature: list[NDArray[np.int32]] = []
    threshold: list[NDArray[np.float32]] = []
    child: list[NDArray[np.int32]] = []
    leaf: list[NDArray[np.float64]] = []
    root: list[int] = []
    depth: list[int] = []
    zero = np.zeros(width, np.bool_)
    start = 0
    for block in blocks:
        fields = _fields(block)
        n_leaves = int(fields["num_leaves"])
        values = np.array(fields["leaf_value"].split(), np.float64)
        n_nodes = n_leaves - 1
        here = np.arange(start, start + n_nodes + n_leaves, dtype=np.int32)
        to = np.stack([here, here], axis=1)
        columns = np.zeros(len(here), np.int32)
        limits = np.full(len(here), np.inf, np.float32)
        if n_nodes:
            kinds = np.array(fields["decision_type"].split(), np.int32)
            if (kinds & _CATEGORICAL).any():
                message = "a pair model that splits on categories cannot be walked"
                raise ValueError(message)
            split = np.array(fields["split_feature"].split(), np.int32)
            is_nan = (kinds >> 2) == _MISSING_NAN
            zero[split[~is_nan]] = True
            columns[:n_nodes] = split + np.where(is_nan & ((kinds & _DEFAULT_LEFT) > 0), width, 0)
            exact = np.array(fields["threshold"].split(), np.float64)
            # The greatest float32 that is not above it: of float32 values the same ones go left.
            limit = exact.astype(np.float32)
            limit = np.where(
                limit.astype(np.float64) > exact, np.nextafter(limit, np.float32(-np.inf)), limit
            )
            limits[:n_nodes] = limit
            for side, name in enumerate(("left_child", "right_child")):
                led = np.array(fields[name].split(), np.int32)
                to[:n_nodes, side] = start + np.where(led >= 0, led, n_nodes + ~led)
        feature.append(columns)
        threshold.append(limits)
        child.append(to.ravel())
        leaf.append(np.concatenate([np.zeros(n_nodes), values]))
        root.append(start)
        depth.append(_depth(to - start, n_nodes))
        start += len(here)
    n_trees = len(root)
    while len(root) % _ABREAST:
        feature.append(np.zeros(1, np.int32))
        threshold.append(np.full(1, np.inf, np.float32))
        child.append(np.full(2, start, np.int32))
        leaf.append(np.zeros(1))
        root.append(start)
        depth.append(0)
        start += 1
    order = np.argsort(depth, kind="stable")
    return Forest(
        np.concatenate(feature).astype(np.uint32),
        np.concatenate(threshold),
        np.concatenate(child).astype(np.uint32),
        np.concatenate(leaf),
        np.array(root, np.uint64)[order],
        np.array(depth, np.uint64)[order].reshape(-1, _ABREAST).max(axis=1),
        order.astype(np.uint64),
        n_trees,
        zero,
    )


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _depth(to: NDArray[np.int32], n_nodes: int) -> int:
    """Steps from the root to the deepest leaf."""
    deep = np.zeros(len(to), np.int32)
    for node in range(n_nodes):
        # A node comes after the one that it hangs from.
        deep[to[node]] = deep[node] + 1
    return int(deep.max(initial=0))


@compiled
def _mean_of_squares(table: Any, a: int, b: int) -> Any:
    """Mean squared difference of two rows, in float32 and in the order in which numpy adds up a row."""
    width = table.shape[1]
    if width == 0:
        return 0.0
    total = np.float32(0.0)
    if width < 8:
        for at in range(width):
            gap = table[a, at] - table[b, at]
            total += gap * gap
        return np.float64(total / np.float32(width))
    part = np.zeros(8, np.float32)
    for at in range(8):
        gap = table[a, at] - table[b, at]
        part[at] = gap * gap
    whole = width - width % 8
    for start in range(8, whole, 8):
        for at in range(8):
            gap = table[a, start + at] - table[b, start + at]
            part[at] += gap * gap
    total = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))
    for at in range(whole, width):
        gap = table[a, at] - table[b, at]
        total += gap * gap
    return np.float64(total / np.float32(width))


@compiled
def write_row(known: PairColumns, pair: int, nowhere: float, row: Any) -> None:
    """What is known of a pair: the columns of `rings.pairs.pair_columns`."""
    a, b = np.int64(known.a[pair]), np.int64(known.b[pair])
    weight = np.float64(known.weight[pair])
    distance = _mean_of_squares(known.table, a, b)
    least = max(1.0, min(known.count[a], known.count[b]))
    sums = max(known.total[a] * known.total[b], 1e-9)
    place = known.neighbour[pair]
    row[0] = weight
    row[1] = known.source[pair]
    row[2] = known.log_gap[pair]
    row[3] = known.log_places[pair]
    row[4] = distance
    row[5] = known.log_common[pair]
    row[6] = known.common_weight[pair]
    row[7] = known.common_like[pair]
    row[8] = min(known.count[a], known.count[b])
    row[9] = max(known.count[a], known.count[b])
    row[10] = min(known.total[a], known.total[b])
    row[11] = max(known.total[a], known.total[b])
    row[12] = weight / max(known.strongest[a], 1e-6) + weight / max(known.strongest[b], 1e-6)
    row[13] = known.common_weight[pair] / np.sqrt(sums)
    row[14] = known.common[pair] / least
    row[15] = known.better[place] if place >= 0 else nowhere
    row[16] = known.worse[place] if place >= 0 else nowhere
    reach_a, reach_b = np.float64(known.reach[a]), np.float64(known.reach[b])
    row[17] = distance / np.sqrt(reach_a * reach_b + 1e-9)
    row[18] = min(known.reach[a], known.reach[b])
    row[19] = max(known.reach[a], known.reach[b])
    row[20] = min(known.middle[a], known.middle[b])
    row[21] = min(known.liked[a], known.liked[b])
    row[22] = max(known.liked[a], known.liked[b])
    width = known.profiles.shape[1]
    for at in range(width):
        one, other = known.profiles[a, at], known.profiles[b, at]
        gap = abs(one - other)
        row[PLAIN + at] = gap
        # What is unknown of one is unknown of both.
        row[PLAIN + width + at] = gap if gap != gap else min(one, other)
        row[PLAIN + 2 * width + at] = gap if gap != gap else max(one, other)


@compiled
def write_rows(known: PairColumns, pairs: Any, nowhere: float, first: int, last: int, out: Any) -> None:
    """The rows of pairs ``pairs[first:last]``."""
    for at in range(first, last):
        write_row(known, pairs[at], nowhere, out[at])


@compiled
def walk_rows(
    known: PairColumns,
    nowhere: float,
    column: Any,
    limit: Any,
    child: Any,
    leaf: Any,
    root: Any,
    depth: Any,
    place: Any,
    n_trees: int,
    zero: Any,
    first: int,
    last: int,
    out: Any,
) -> None:
    """How likely each of the pairs ``first:last`` acts together.

    All indices are unsigned and no step branches: the machine then takes ten trees at once.
    """
    width = len(zero)
    two = np.uint64(2)
    reached = np.empty(len(place), np.float64)
    row = np.empty(width, np.float32)
    seen = np.empty(2 * width, np.float32)
    for pair in range(first, last):
        write_row(known, pair, nowhere, row)
        for at in range(width):
            value = row[at]
            if value != value:
                seen[at] = np.float32(0.0) if zero[at] else np.float32(np.inf)
                seen[width + at] = np.float32(-np.inf)
            else:
                seen[at] = value
                seen[width + at] = value
        for group in range(len(depth)):
            start = group * 10
            n0 = np.uint64(root[start + 0])
            n1 = np.uint64(root[start + 1])
            n2 = np.uint64(root[start + 2])
            n3 = np.uint64(root[start + 3])
            n4 = np.uint64(root[start + 4])
            n5 = np.uint64(root[start + 5])
            n6 = np.uint64(root[start + 6])
            n7 = np.uint64(root[start + 7])
            n8 = np.uint64(root[start + 8])
            n9 = np.uint64(root[start + 9])
            for _ in range(depth[group]):
                n0 = np.uint64(child[two * n0 + np.uint64(seen[column[n0]] > limit[n0])])
                n1 = np.uint64(child[two * n1 + np.uint64(seen[column[n1]] > limit[n1])])
                n2 = np.uint64(child[two * n2 + np.uint64(seen[column[n2]] > limit[n2])])
                n3 = np.uint64(child[two * n3 + np.uint64(seen[column[n3]] > limit[n3])])
                n4 = np.uint64(child[two * n4 + np.uint64(seen[column[n4]] > limit[n4])])
                n5 = np.uint64(child[two * n5 + np.uint64(seen[column[n5]] > limit[n5])])
                n6 = np.uint64(child[two * n6 + np.uint64(seen[column[n6]] > limit[n6])])
                n7 = np.uint64(child[two * n7 + np.uint64(seen[column[n7]] > limit[n7])])
                n8 = np.uint64(child[two * n8 + np.uint64(seen[column[n8]] > limit[n8])])
                n9 = np.uint64(child[two * n9 + np.uint64(seen[column[n9]] > limit[n9])])
            reached[place[start + 0]] = leaf[n0]
            reached[place[start + 1]] = leaf[n1]
            reached[place[start + 2]] = leaf[n2]
            reached[place[start + 3]] = leaf[n3]
            reached[place[start + 4]] = leaf[n4]
            reached[place[start + 5]] = leaf[n5]
            reached[place[start + 6]] = leaf[n6]
            reached[place[start + 7]] = leaf[n7]
            reached[place[start + 8]] = leaf[n8]
            reached[place[start + 9]] = leaf[n9]
        total = 0.0
        for tree in range(n_trees):
            total += reached[tree]
        out[pair] = 1.0 / (1.0 + math.exp(-total))


@compiled
def neighbours_of(one: Any, other: Any, weight: Any, n_accounts: int) -> tuple[Any, Any, Any]:
    """Sorted neighbours of each account: where they begin, who they are, the weights.

    Args:
        one: Lower ends, ascending.
        other: Upper ends, ascending for each lower one.
        weight: Of each pair.
        n_accounts: Number of accounts.
    """
    below = np.zeros(n_accounts, np.int64)
    start = np.zeros(n_accounts + 1, np.int64)
    for at in range(len(one)):
        below[other[at]] += 1
        start[one[at] + 1] += 1
        start[other[at] + 1] += 1
    for account in range(n_accounts):
        start[account + 1] += start[account]
    # Those below come first: the pairs are sorted, so both halves come in ascending order.
    lower, upper = start[:-1].copy(), start[:-1] + below
    others = np.empty(2 * len(one), np.int32)
    weights = np.empty(2 * len(one), np.float32)
    for at in range(len(one)):
        a, b = one[at], other[at]
        others[upper[a]] = b
        weights[upper[a]] = weight[at]
        upper[a] += 1
        others[lower[b]] = a
        weights[lower[b]] = weight[at]
        lower[b] += 1
    return start, others, weights


@compiled
def merged(left: Any, right: Any) -> Any:
    """Two ascending lists without doubles as one."""
    out = np.empty(len(left) + len(right), np.int64)
    i = j = n = 0
    while i < len(left) or j < len(right):
        if j >= len(right) or (i < len(left) and left[i] <= right[j]):
            value = left[i]
            i += 1
            if j < len(right) and right[j] == value:
                j += 1
        else:
            value = right[j]
            j += 1
        out[n] = value
        n += 1
    return out[:n]
