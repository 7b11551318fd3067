"""What is known of pairs and the trees that judge it, compiled: rows of pairs are made and judged at once.

No tree is walked. Its leaves are numbered from left to right, and each node at which a row goes right rules
out the leaves on its left: of those that are left the first is the row's (QuickScorer; Lucchese and others,
2015). Which rows go right at a node is the same question for all of them, so the machine answers it for many
at a time. LightGBM wants all rows as one table and takes longer. The sums are taken in its order, so the
probabilities are its own, bit by bit.
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
# Leaves of a tree: a bit each.
_LEAVES: Final = 32
# Rows that are judged at once: what is held of them fits the nearest cache.
_ROWS: Final = 64
# A multiple of it has in its upper five bits another number for each power of two (de Bruijn sequence).
_DE_BRUIJN: Final = 0x077CB531


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
    """Boosted trees as the compiled code reads them, in the model's order.

    Attributes:
        first: ``int64[T + 1]``, nodes of each tree.
        column: ``int64[N]``, column of each node, plus the number of columns where NaN goes left.
        limit: ``float32[N]``, up to which a value goes left.
        kept: ``uint32[N]``, a bit for each leaf, from left to right, that is not on the node's left.
        leaf: ``float64[T, 32]``, value of each leaf, at the place that `_place_of` gives its bit.
        zero: ``bool[F]``, columns in which NaN counts as 0.
    """

    first: NDArray[np.int64]
    column: NDArray[np.int64]
    limit: NDArray[np.float32]
    kept: NDArray[np.uint32]
    leaf: NDArray[np.float64]
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
    first = [0]
    columns, limits, kept = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(0, np.uint32)]
    leaf = np.zeros((len(blocks), _LEAVES))
    zero = np.zeros(width, np.bool_)
    for tree, block in enumerate(blocks):
        fields = _fields(block)
        n_leaves = int(fields["num_leaves"])
        if n_leaves > _LEAVES:
            message = f"a pair model with trees of {n_leaves} leaves cannot be walked; {_LEAVES} are the most"
            raise ValueError(message)
        values = np.array(fields["leaf_value"].split(), np.float64)
        order = np.zeros(1, np.int64)
        if n_leaves > 1:
            kinds = np.array(fields["decision_type"].split(), np.int64)
            if (kinds & _CATEGORICAL).any():
                message = "a pair model that splits on categories cannot be walked"
                raise ValueError(message)
            split = np.array(fields["split_feature"].split(), np.int64)
            is_nan = (kinds >> 2) == _MISSING_NAN
            zero[split[~is_nan]] = True
            columns.append(split + np.where(is_nan & ((kinds & _DEFAULT_LEFT) > 0), width, 0))
            exact = np.array(fields["threshold"].split(), np.float64)
            # The greatest float32 that is not above it: of float32 values the same ones go left.
            limit = exact.astype(np.float32)
            above = limit.astype(np.float64) > exact
            limits.append(np.where(above, np.nextafter(limit, np.float32(-np.inf)), limit))
            left, right = (np.array(fields[f"{side}_child"].split(), np.int64) for side in ("left", "right"))
            on_the_left, order = _leaves_of(left, right)
            kept.append(~on_the_left)
        first.append(first[-1] + n_leaves - 1)
        leaf[tree, _place_of(np.uint32(1) << np.arange(n_leaves, dtype=np.uint32))] = values[order]
    return Forest(
        np.array(first, np.int64),
        np.concatenate(columns),
        np.concatenate(limits),
        np.concatenate(kept),
        leaf,
        zero,
    )


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _leaves_of(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """For each node the bits of the leaves on its left, and the leaves from left to right.

    A child below 0 is a leaf: -1 the first one, -2 the second.
    """
    bits = np.zeros(len(left), np.uint32)
    order: list[int] = []

    def visit(node: int) -> None:
        if node < 0:
            order.append(~node)
            return
        before = len(order)
        visit(int(left[node]))
        bits[node] = (1 << len(order)) - (1 << before)
        visit(int(right[node]))

    visit(0)
    return bits, np.array(order, np.int64)


def _place_of(bit: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Where the value of a leaf lies, by its bit: another place for each of the 32."""
    return (
        ((bit.astype(np.uint64) * np.uint64(_DE_BRUIJN)) & np.uint64(0xFFFFFFFF)) >> np.uint64(27)
    ).astype(np.int64)


@compiled
def _squared(one: Any, other: Any) -> Any:
    gap = one - other
    return gap * gap


@compiled
def _mean_of_squares(table: Any, a: int, b: int) -> Any:
    """Mean squared difference of two rows, in float32 and in the order in which numpy adds up a row."""
    width = table.shape[1]
    if width == 0:
        return 0.0
    total = np.float32(0.0)
    if width < 8:
        for at in range(width):
            total += _squared(table[a, at], table[b, at])
        return np.float64(total / np.float32(width))
    p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = np.float32(0.0)
    whole = width - width % 8
    for start in range(0, whole, 8):
        p0 += _squared(table[a, start], table[b, start])
        p1 += _squared(table[a, start + 1], table[b, start + 1])
        p2 += _squared(table[a, start + 2], table[b, start + 2])
        p3 += _squared(table[a, start + 3], table[b, start + 3])
        p4 += _squared(table[a, start + 4], table[b, start + 4])
        p5 += _squared(table[a, start + 5], table[b, start + 5])
        p6 += _squared(table[a, start + 6], table[b, start + 6])
        p7 += _squared(table[a, start + 7], table[b, start + 7])
    total = ((p0 + p1) + (p2 + p3)) + ((p4 + p5) + (p6 + p7))
    for at in range(whole, width):
        total += _squared(table[a, at], table[b, at])
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
def judge_rows(
    known: PairColumns,
    nowhere: float,
    starts: Any,
    column: Any,
    limit: Any,
    kept: Any,
    leaf: Any,
    zero: Any,
    first: int,
    last: int,
    out: Any,
) -> None:
    """How likely each of the pairs ``first:last`` acts together."""
    width = len(zero)
    rows = np.zeros((_ROWS, width), np.float32)
    seen = np.empty((width, _ROWS), np.float32)
    bits = np.empty(_ROWS, np.uint32)
    total = np.empty(_ROWS, np.float64)
    for start in range(first, last, _ROWS):
        n_rows = min(_ROWS, last - start)
        for at in range(n_rows):
            write_row(known, start + at, nowhere, rows[at])
        for place in range(width):
            for at in range(_ROWS):
                seen[place, at] = rows[at, place]
            if zero[place]:
                for at in range(_ROWS):
                    seen[place, at] = seen[place, at] if seen[place, at] == seen[place, at] else 0.0
        total[:] = 0.0
        for tree in range(len(starts) - 1):
            bits[:] = np.uint32(0xFFFFFFFF)
            for node in range(starts[tree], starts[tree + 1]):
                if column[node] < width:
                    _rule_out(seen[column[node]], limit[node], kept[node], bits)
                else:
                    _rule_out_known(seen[column[node] - width], limit[node], kept[node], bits)
            _add_leaves(bits, leaf[tree], total)
        for at in range(n_rows):
            out[start + at] = 1.0 / (1.0 + math.exp(-total[at]))


@compiled
def _rule_out(value: Any, limit: Any, kept: Any, bits: Any) -> None:
    """Of the rows that go right at a node the leaves on its left; NaN goes right."""
    for at in range(_ROWS):
        bits[at] = bits[at] if value[at] <= limit else bits[at] & kept


@compiled
def _rule_out_known(value: Any, limit: Any, kept: Any, bits: Any) -> None:
    """The same where NaN goes left."""
    for at in range(_ROWS):
        bits[at] = bits[at] & kept if value[at] > limit else bits[at]


@compiled
def _add_leaves(bits: Any, leaf: Any, total: Any) -> None:
    """The value of each row's leaf: the first that is not ruled out."""
    for at in range(_ROWS):
        lowest = bits[at] & (~bits[at] + np.uint32(1))
        place = np.uint32(np.uint32(lowest) * np.uint32(_DE_BRUIJN)) >> np.uint32(27)
        total[at] += leaf[place]


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
