"""What a peer gets to see: inputs, a graph, and the labels of the accounts that it may learn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.peers.sage import Network


@dataclass(frozen=True, slots=True)
class Part:
    """One division of the examples.

    Attributes:
        name: For caches and reports.
        train: ``int64[n]`` examples to fit on.
        valid: ``int64[m]`` examples to choose and to stop by.
        test: ``int64[k]`` examples to score.
        label: ``int8[R]``: 1 bad, 0 good, -1 not known; never known in the test part.
        weight: ``float64[R]``.
        refit: Whether what was chosen may be fitted again on both, train and valid, before it scores.
    """

    name: str
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    refit: bool

    @classmethod
    def of(
        cls,
        name: str,
        train: NDArray[np.int64],
        valid: NDArray[np.int64],
        test: NDArray[np.int64],
        label: NDArray[np.int8],
        weight: NDArray[np.float64],
        *,
        refit: bool,
    ) -> Part:
        """Divide, and hide every label outside of train and valid.

        Args:
            name: For caches and reports.
            train: Examples to fit on; those without a label are left out.
            valid: Examples to choose by; those without a label are left out.
            test: Examples to score.
            label: ``int8[R]``.
            weight: ``float64[R]``.
            refit: See the class.

        Returns:
            The part.

        Raises:
            ValueError: If an example is in two of the three.
        """
        if len(np.unique(np.concatenate([train, valid, test]))) != len(train) + len(valid) + len(test):
            message = f"part {name}: an example is in two of train, valid and test"
            raise ValueError(message)
        known = np.full(len(label), -1, np.int8)
        for rows in (train, valid):
            known[rows] = label[rows]
        return cls(name, train[known[train] >= 0], valid[known[valid] >= 0], test, known, weight, refit)

    @classmethod
    def of_split(cls, name: str, part_of: NDArray[np.int8], label: NDArray[np.int8]) -> Part:
        """An official split.

        Args:
            name: For caches and reports.
            part_of: ``int8[R]``: 0 train, 1 validation, 2 test, -1 none.
            label: ``int8[R]``.

        Returns:
            The part; it is not refitted, since published figures are not.
        """
        train, valid, test = (np.flatnonzero(part_of == which) for which in (0, 1, 2))
        return cls.of(name, train, valid, test, label, np.ones(len(label)), refit=False)

    @property
    def fingerprint(self) -> str:
        """A hash of who is where and what is known of them."""
        digest = hashlib.sha256()
        for array in (self.train, self.valid, self.test, self.label, self.weight):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:12]

    @property
    def can_choose(self) -> bool:
        """Whether both classes are in both, train and valid, so that validation says something."""
        return all(len(np.unique(self.label[rows])) == 2 for rows in (self.train, self.valid))

    @property
    def least(self) -> int:
        """Number of labels of the rarer class, in train and valid together."""
        known = self.label[np.concatenate([self.train, self.valid])]
        return int(min((known == 0).sum(), (known == 1).sum()))

    def everything(self) -> NDArray[np.int64]:
        """All examples with a label: train and valid together.

        Returns:
            ``int64[n + m]``.

        Raises:
            OneClass: If all of them say the same.
        """
        rows = np.concatenate([self.train, self.valid])
        if len(np.unique(self.label[rows])) < 2:
            raise OneClass(self.name)
        return rows


class OneClass(ValueError):
    """All known labels say the same, so that no method can learn from them."""

    def __init__(self, part: str) -> None:
        super().__init__(f"part {part}: the labels known are all alike")


class Problem(Protocol):
    """A data set as a peer sees it. Rows are examples: an account, or an account at a moment."""

    def own(self) -> NDArray[np.float32]:
        """``float32[R, d]``: attributes of the account alone; NaN where unknown. ``d`` may be 0."""
        ...

    def aggregates(self) -> NDArray[np.float32]:
        """``float32[R, 3 d']``: X, AX and A²X side by side."""
        ...

    def network(self) -> Network:
        """What GraphSAGE runs on."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """What a peer answers.

    Attributes:
        score: ``float64[k]`` of the part's test examples; higher is worse.
        chosen: The settings that validation chose.
    """

    score: NDArray[np.float64]
    chosen: dict[str, Any]


def class_weights(label: NDArray[np.int8], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights under which both classes weigh the same in sum, as GADBench (Tang et al., 2023) has them.

    Args:
        label: ``int8[n]`` of 0 and 1.
        weight: ``float64[n]`` of the examples.

    Returns:
        ``float64[n]``; good ones keep theirs.
    """
    bad = label == 1
    ratio = weight[~bad].sum() / max(weight[bad].sum(), 1e-12)
    return np.where(bad, weight * ratio, weight)
