"""Trees of one fold as a piece of work: grown on where they have grown before, grown again anywhere else."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gnn.trees import GrowingTrees, Model, Shape, margins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True)
class HeldOutTrees:
    """Trees of one shape, fitted on some examples and asked about others.

    Attributes:
        inputs: Gives ``float32[n, F]`` to fit on and ``float32[m, F]`` to predict; picklable.
        label: ``int8[n]`` of 0 and 1.
        weight: ``float64[n]``.
        shape: Of the trees.
        seed: Of the sampling of rows and columns.
        n_threads: Of the trees.
        model: Which trees.
    """

    inputs: Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    shape: Shape
    seed: int
    n_threads: int
    model: Model
    _growing: GrowingTrees | None = None
    _asked: NDArray[np.float32] | None = None

    def upto(self, wanted: Sequence[int]) -> list[NDArray[np.float64]]:
        """Grow, and predict.

        Args:
            wanted: Numbers of trees, rising.

        Returns:
            ``float64[m]`` margins with each number of trees.
        """
        if self._growing is None or self._asked is None:
            fit_on, self._asked = self.inputs()
            self._growing = GrowingTrees(
                fit_on,
                self.label,
                self.weight,
                shape=self.shape,
                seed=self.seed,
                n_threads=self.n_threads,
                model=self.model,
            )
        trees = self._growing.upto(wanted[-1])
        return [margins(trees, self._asked, count) for count in wanted]

    def __getstate__(self) -> dict[str, Any]:
        """Without what has grown: wherever it is read it grows again, the same tree by tree."""
        return {one.name: getattr(self, one.name) for one in fields(self) if not one.name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._growing = self._asked = None
