"""Trees as flat arrays and the compiled walk through them: one path for one row and for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit, prange

from features.visibility import compiled
from gnn.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Sixteen bytes, so that a step of the walk reads one cache line. ``feature`` holds the column, shifted left,
# and the flags below it; children from 0 on are nodes, ``~child`` below 0 is a leaf.
NODE: Final = np.dtype(
    [("threshold", np.float32), ("feature", np.int32), ("left", np.int32), ("right", np.int32)]
)
FLAG_BITS: Final = 3
_NAN_GOES_LEFT: Final = 1
_ZERO_IS_MISSING: Final = 2
_ZERO_GOES_LEFT: Final = 4
# LightGBM's kZeroThreshold: nothing smaller is told from zero.
_ZERO: Final = np.float32(1e-35)
# LightGBM's decision_type: bit 0 categorical, bit 1 what is missing goes left, bits 2 and 3 what is missing.
_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_IS_ZERO: Final = 1
_MISSING_IS_NAN: Final = 2
# LightGBM's own word, in the head of its text, for a model whose trees are averaged and not summed.
_AVERAGED: Final = "average_output"
# Our word there and in each tree, for what grew it; without it the text is LightGBM's own.
MODEL_FIELD: Final = "ringwatch_model"
END: Final = "end of trees"
# Below this many rows the threads cost more than they bring.
_FEW: Final = 64


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees or a forest, all in one, as the compiled walk reads them.

    Attributes:
        text: LightGBM's text of them, also of trees that another library grew: what a bundle keeps.
        model: Which library's model they are, see `gnn.trees.MODELS`; several with ``+`` between them.
        averaged: Whether the margin is the mean of the trees' leaves (a forest) and not their sum.
        n_features: Number of columns ``F``.
        nodes: ``[N]`` of `NODE`; in each tree a node comes after the one that it hangs from.
        root: ``int32[T]``, first node of each tree; ``~leaf`` where a tree is but a leaf.
        first_node: ``int32[T + 1]``, nodes of tree ``t`` are ``first_node[t]:first_node[t + 1]``.
        leaf_value: ``float64[L]``, log odds.
        node_count: ``float64[N]``, rows of the training data that came by (their weight, where it is not
            LightGBM that grew the trees).
        leaf_count: ``float64[L]``, those that ended there.
    """

    text: str
    model: str
    averaged: bool
    n_features: int
    nodes: NDArray[Any]
    root: NDArray[np.int32]
    first_node: NDArray[np.int32]
    leaf_value: NDArray[np.float64]
    node_count: NDArray[np.float64]
    leaf_count: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of trees."""
        return len(self.root)


@compiled
def goes_left(nodes: Any, at: int, row: Any) -> Any:
    """Whether a row goes left at a node; bit by bit LightGBM's decision on numbers, missing ones included."""
    packed = nodes[at].feature
    value = row[packed >> FLAG_BITS]
    if packed & _ZERO_IS_MISSING and -_ZERO <= value <= _ZERO:
        return packed & _ZERO_GOES_LEFT != 0
    if value != value:
        return packed & _NAN_GOES_LEFT != 0
    return value <= nodes[at].threshold


@compiled
def _walk(nodes: Any, root: Any, leaf_value: Any, n_trees: int, row: Any) -> Any:
    total = 0.0
    for tree in range(n_trees):
        at = root[tree]
        while at >= 0:
            at = nodes[at].left if goes_left(nodes, at, row) else nodes[at].right
        total += leaf_value[~at]
    return total


@compiled
def _walk_few(nodes: Any, root: Any, leaf_value: Any, n_trees: int, rows: Any, out: Any) -> None:
    for index in range(len(rows)):
        out[index] = _walk(nodes, root, leaf_value, n_trees, rows[index])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _walk_many(nodes: Any, root: Any, leaf_value: Any, n_trees: int, rows: Any, out: Any) -> None:
    for index in prange(len(rows)):
        out[index] = _walk(nodes, root, leaf_value, n_trees, rows[index])


def walk(trees: Trees, rows: NDArray[np.float32], n_trees: int) -> NDArray[np.float64]:
    """Sum the leaves that rows fall into; of a forest, their mean.

    Args:
        trees: The trees.
        rows: ``float32[n, F]``.
        n_trees: Only the first so many trees.

    Returns:
        ``float64[n]``, each by itself whatever the number of rows.

    Raises:
        ValueError: If the number of columns is not that of the trees.
    """
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    check_width(trees, rows)
    out = np.empty(len(rows), dtype=np.float64)
    through = _walk_few if len(rows) < _FEW else _walk_many
    asked = min(n_trees, len(trees))
    through(trees.nodes, trees.root, trees.leaf_value, asked, rows, out)
    return out / max(asked, 1) if trees.averaged else out


def check_width(trees: Trees, rows: NDArray[np.float32]) -> None:
    """Refuse rows of another width than the trees': compiled code would read past their end.

    Args:
        trees: The trees.
        rows: ``float32[n, F]``.

    Raises:
        ValueError: If the number of columns is not that of the trees.
    """
    if rows.ndim != 2 or rows.shape[1] != trees.n_features:
        message = f"the trees were fitted on {trees.n_features} columns, got an array of shape {rows.shape}"
        raise ValueError(message)


def read_trees(text: str, where: str) -> Trees:
    """Read a model's text.

    Args:
        text: As `lightgbm.Booster.model_to_string` or `gnn.tree_text.write_trees` gives it.
        where: Where the text is from, for messages.

    Returns:
        The trees.

    Raises:
        BundleError: If the text is damaged, or holds what no training here makes: splits on categories,
            linear leaves, several trees a round.
    """
    body, *_ = text.partition(f"\n{END}")
    head, *blocks = body.split("\nTree=")
    try:
        header = _fields(head)
        n_features = int(header["max_feature_idx"]) + 1
        model = header.get(MODEL_FIELD, "lightgbm")
        parts = [_tree(_fields(block), n_features) for block in blocks]
        plain = header["num_tree_per_iteration"] == "1"
    except (KeyError, ValueError, IndexError):
        message = f"{where}: damaged, its trees cannot be read; run `ringwatch train` again"
        raise BundleError(message) from None
    for number, part in enumerate(parts):
        if part is None:
            message = (
                f"{where}: tree {number} splits on categories or has linear leaves, which scoring does not "
                "know; run `ringwatch train` again"
            )
            raise BundleError(message)
    if not plain or not parts:
        message = f"{where}: not one tree a round; run `ringwatch train` again"
        raise BundleError(message)
    averaged = _AVERAGED in head.splitlines()
    return _joined(text, model, averaged, n_features, [part for part in parts if part is not None])


@dataclass(frozen=True, slots=True)
class _Tree:
    nodes: NDArray[Any]
    leaf_value: NDArray[np.float64]
    node_count: NDArray[np.float64]
    leaf_count: NDArray[np.float64]


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _numbers(text: str) -> NDArray[np.float64]:
    # Python reads the 17 digits back to the very same number, as LightGBM does.
    return np.array([float(word) for word in text.split()], dtype=np.float64)


def _tree(fields: Mapping[str, str], n_features: int) -> _Tree | None:
    """One tree, its children counted from its own start; None if it is of a sort that is not walked."""
    n_leaves = int(fields["num_leaves"])
    by_lightgbm = fields.get(MODEL_FIELD, "lightgbm") == "lightgbm"
    if fields["num_cat"] != "0" or fields["is_linear"] != "0":
        return None
    leaf_value = _numbers(fields["leaf_value"])
    if n_leaves == 1:
        none = np.zeros(0, dtype=np.float64)
        return _Tree(np.zeros(0, dtype=NODE), leaf_value, none, np.ones(1, dtype=np.float64))
    decision = _numbers(fields["decision_type"]).astype(np.int64)
    if (decision & _CATEGORICAL).any():
        return None
    feature = _numbers(fields["split_feature"]).astype(np.int64)
    nodes = np.zeros(n_leaves - 1, dtype=NODE)
    nodes["left"] = _numbers(fields["left_child"])
    nodes["right"] = _numbers(fields["right_child"])
    threshold = _numbers(fields["threshold"])
    single = _single(threshold)
    # Only LightGBM takes what is nearly zero for zero.
    nodes["threshold"] = _around_zero(single, threshold) if by_lightgbm else single
    nodes["feature"] = (feature << FLAG_BITS) | _flags(decision, threshold)
    # How training rows parted: LightGBM's attributions count them, those of the others weigh them.
    cover = "count" if by_lightgbm else "weight"
    tree = _Tree(nodes, leaf_value, _numbers(fields[f"internal_{cover}"]), _numbers(fields[f"leaf_{cover}"]))
    own = np.arange(len(nodes))
    children = np.concatenate([nodes["left"], nodes["right"]])
    parents = np.concatenate([own, own])
    sound = (
        len(leaf_value) == len(tree.leaf_count) == n_leaves
        and len(tree.node_count) == len(nodes)
        and (feature >= 0).all()
        and (feature < n_features).all()
        and not np.isnan(threshold).any()
        and (children < len(nodes)).all()
        and (children >= -n_leaves).all()
        # A child after its parent: no walk can go in circles.
        and (parents < children)[children >= 0].all()
        and len(np.unique(children)) == len(children)
        and (tree.node_count > 0).all()
        and (tree.leaf_count > 0).all()
    )
    if not sound:
        raise ValueError
    return tree


def _single(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Thresholds that split all numbers of single precision as the double ones do.

    ``x <= t`` for a float32 ``x`` asks whether ``x`` is at most the greatest float32 not above ``t``.
    """
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    below = np.nextafter(single, np.float32(-np.inf))
    return np.where(single > threshold, below, single).astype(np.float32)


def _around_zero(single: NDArray[np.float32], threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Thresholds moved out of what lies nearer to zero than `_ZERO`: all of it counts as zero."""
    below = np.nextafter(-_ZERO, np.float32(-np.inf))
    moved = np.where(threshold >= 0.0, _ZERO, below)
    return np.where(np.abs(single) <= _ZERO, moved, single).astype(np.float32)


def _flags(decision: NDArray[np.int64], threshold: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where NaN and zero go: to the default side where they are missing, else NaN goes where zero does."""
    missing = (decision >> 2) & 3
    default = (decision & _DEFAULT_LEFT) != 0
    zero = missing == _MISSING_IS_ZERO
    nan_left = np.where(zero | (missing == _MISSING_IS_NAN), default, threshold >= 0.0)
    flags: NDArray[np.int64] = (
        _NAN_GOES_LEFT * nan_left.astype(np.int64)
        + _ZERO_IS_MISSING * zero.astype(np.int64)
        + _ZERO_GOES_LEFT * (zero & default).astype(np.int64)
    )
    return flags


def _joined(text: str, model: str, averaged: bool, n_features: int, trees: list[_Tree]) -> Trees:
    """All trees in one row of nodes and one of leaves."""
    first_node = np.cumsum([0, *(len(tree.nodes) for tree in trees)], dtype=np.int64)
    first_leaf = np.cumsum([0, *(len(tree.leaf_value) for tree in trees)], dtype=np.int64)
    for number, tree in enumerate(trees):
        for side in ("left", "right"):
            child = tree.nodes[side]
            # ~leaf counted from the start of all leaves is ~leaf less the leaves before.
            tree.nodes[side] = np.where(child >= 0, child + first_node[number], child - first_leaf[number])
    only_leaf = np.diff(first_node) == 0
    return Trees(
        text=text,
        model=model,
        averaged=averaged,
        n_features=n_features,
        nodes=np.concatenate([tree.nodes for tree in trees]),
        root=np.where(only_leaf, ~first_leaf[:-1], first_node[:-1]).astype(np.int32),
        first_node=first_node.astype(np.int32),
        leaf_value=np.concatenate([tree.leaf_value for tree in trees]),
        node_count=np.concatenate([tree.node_count for tree in trees]),
        leaf_count=np.concatenate([tree.leaf_count for tree in trees]),
    )
