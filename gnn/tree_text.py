"""LightGBM's text for trees that another library grew: one text, one reader, one walk for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gnn.tree_walk import END, MODEL_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from gnn.tree_walk import Trees

# LightGBM's decision_type: what is missing is NaN, and where it goes.
_NAN_GOES_RIGHT = 2 << 2
_NAN_GOES_LEFT = _NAN_GOES_RIGHT | 2


@dataclass(frozen=True, slots=True)
class GrownTree:
    """One tree as libraries keep it: inner nodes and leaves in one numbering, a child after its parent.

    Attributes:
        left: ``int64[K]`` left child of each node, -1 at a leaf.
        right: ``int64[K]`` right child.
        feature: ``int64[K]`` column that an inner node splits on.
        threshold: ``float64[K]``: a row goes left if its value is at most this.
        nan_left: ``bool[K]``, whether NaN goes left.
        value: ``float64[K]`` at leaves.
        weight: ``float64[K]``, of the training data that came by.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    nan_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    weight: NDArray[np.float64]


def write_trees(trees: Sequence[GrownTree], *, model: str, n_features: int, averaged: bool) -> str:
    """Write trees as `gnn.tree_walk.read_trees` (and LightGBM) reads them.

    Args:
        trees: The trees.
        model: Which library's model they are.
        n_features: Number of columns.
        averaged: Whether the margin is the mean of the trees' leaves and not their sum.

    Returns:
        The text. Numbers have as many digits as give back the same number.
    """
    blocks = [f"{MODEL_FIELD}={model}\n{_block(tree)}" for tree in trees]
    return _text(model, n_features, averaged, blocks)


def mix(parts: Sequence[tuple[Trees, float]], n_features: int | None = None) -> str:
    """Write several models as one, so that they are walked, explained and kept as one.

    Args:
        parts: Models of the same columns, each with what its margin is multiplied by.
        n_features: Columns that the model is asked with, those of the parts first; theirs if None.

    Returns:
        The text of a model whose margin is the sum of theirs, each times its factor.

    Raises:
        ValueError: If there are no models, or if they are of other columns.
    """
    widths = {trees.n_features for trees, _ in parts}
    if not parts or (len(widths) != 1 if n_features is None else max(widths) > n_features):
        message = f"models of the same columns are needed to mix them, got some of {sorted(widths)} columns"
        raise ValueError(message)
    blocks = []
    for trees, factor in parts:
        by = factor / len(trees) if trees.averaged else factor
        for block in trees.text.partition(END)[0].split("\nTree=")[1:]:
            lines = [_scaled(line, by) for line in block.splitlines()[1:] if "=" in line]
            own = (
                []
                if any(line.startswith(f"{MODEL_FIELD}=") for line in lines)
                else [f"{MODEL_FIELD}=lightgbm"]
            )
            blocks.append("\n".join([*own, *lines]))
    return _text("+".join(trees.model for trees, _ in parts), n_features or widths.pop(), False, blocks)


def _scaled(line: str, by: float) -> str:
    name, _, values = line.partition("=")
    if name != "leaf_value":
        return line
    return f"{name}={' '.join(repr(float(value) * by) for value in values.split())}"


def _text(model: str, n_features: int, averaged: bool, blocks: Sequence[str]) -> str:
    names = " ".join(f"Column_{column}" for column in range(n_features))
    head = [
        "tree",
        "version=v4",
        f"{MODEL_FIELD}={model}",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={n_features - 1}",
        "objective=binary sigmoid:1",
        *(["average_output"] if averaged else []),
        f"feature_names={names}",
        f"feature_infos={' '.join(['none'] * n_features)}",
        "",
    ]
    numbered = [f"Tree={number}\n{block}\n\n" for number, block in enumerate(blocks)]
    return "\n".join(head) + "\n" + "".join(numbered) + f"{END}\n"


def _block(tree: GrownTree) -> str:
    inner = tree.left >= 0
    # Inner nodes and leaves each counted by themselves, in their old order; a leaf is told by ~number.
    number = np.where(inner, np.cumsum(inner) - 1, ~(np.cumsum(~inner) - 1))
    fields: dict[str, Iterable[Any]] = {
        "split_feature": tree.feature[inner].tolist(),
        "threshold": tree.threshold[inner].tolist(),
        "decision_type": np.where(tree.nan_left[inner], _NAN_GOES_LEFT, _NAN_GOES_RIGHT).tolist(),
        "left_child": number[tree.left[inner]].tolist(),
        "right_child": number[tree.right[inner]].tolist(),
        "leaf_value": tree.value[~inner].tolist(),
        "leaf_weight": tree.weight[~inner].tolist(),
        "leaf_count": _whole(tree.weight[~inner]),
        "internal_value": np.zeros(int(inner.sum())).tolist(),
        "internal_weight": tree.weight[inner].tolist(),
        "internal_count": _whole(tree.weight[inner]),
    }
    lines = [f"num_leaves={int((~inner).sum())}", "num_cat=0"]
    lines += [f"{name}={' '.join(map(repr, values))}" for name, values in fields.items()]
    return "\n".join([*lines, "is_linear=0", "shrinkage=1"])


def _whole(weight: NDArray[np.float64]) -> list[int]:
    """Counts for LightGBM, which reads no others; scoring here takes the weights themselves."""
    return [max(1, round(one)) for one in weight.tolist()]
