"""What GraphSAGE is to be fitted on, as it can be handed to another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from features import Queries
    from gnn.sage_kernel import Sage
    from gnn.sage_verdicts import Known
    from graph_etl import Snapshot
    from rings.spread import Shared


@dataclass(frozen=True, slots=True)
class SageProblem:
    """Questions with labels.

    Attributes:
        snapshot: What they are about.
        queries: ``n`` questions, each with its horizon.
        label: ``int8[n]`` of 0 and 1.
        weight: ``float64[n]``.
        rows: ``float32[n, F]`` what the trees see of each.
        group: ``int64[n]``, what is held back together.
        members: Number of networks, fitted from different seeds.
        seed: Of everything random.
        n_threads: PyTorch's.
        known: Verdicts on others that the network is told of; None: of none.
    """

    snapshot: Shared[Snapshot]
    queries: Queries
    label: NDArray[np.int8]
    weight: NDArray[np.float64]
    rows: NDArray[np.float32]
    group: NDArray[np.int64]
    members: int
    seed: int
    n_threads: int
    known: Known | None = None

    def fit(self, **how: Any) -> Sage:
        """Fit it.

        Args:
            how: On which processor, beside which other processes, with which checkpoints: see
                `gnn.sage_fit.fit_sage`.

        Returns:
            The model.
        """
        from gnn.sage import SageInputs
        from gnn.sage_fit import fit_sage  # here: scoring needs no PyTorch

        return fit_sage(
            SageInputs.of(self.snapshot.get(), self.queries),
            self.queries,
            self.label,
            self.weight,
            rows=self.rows,
            group=self.group,
            members=self.members,
            seed=self.seed,
            n_threads=self.n_threads,
            known=self.known,
            **how,
        )
