"""GraphSAGE on accounts: where its samples are drawn and how a fitted one scores. No PyTorch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from features import LiveGraph
from features.opened import open_graph
from gnn.inputs import inputs as rows_of
from gnn.sage_kernel import FANOUTS, Encoding, Sage
from gnn.sage_verdicts import Told
from gnn.sampler import Gathered, Sample, described, gather, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features import Queries, Source
    from gnn.sage_verdicts import Known
    from rings import Epoch

# Accounts whose samples are held in memory at a time.
_SCORE_BATCH: Final = 4096
# Drawn around an account at most.
_NEIGHBOURS: Final = FANOUTS[0] * (1 + FANOUTS[1])


@dataclass(frozen=True, slots=True)
class SageInputs:
    """Where a model draws its samples: a graph and, for many questions at its end, what all accounts show.

    Attributes:
        source: The snapshot, or the live graph over it.
        profile_width: Width of a profile.
        shared: ``float32[A, D]`` of `gnn.sampler.described`, to the last bit what each question would compute
            for itself, or None.
        epochs: Communities and neighbourhoods that the questions' own rows read, where rows are not given.
    """

    source: Source
    profile_width: int
    shared: NDArray[np.float32] | None = None
    epochs: Sequence[Epoch] = ()

    @classmethod
    def of(cls, source: Source, queries: Queries, epochs: Sequence[Epoch] = ()) -> SageInputs:
        """Prepare for a batch of questions.

        Args:
            source: The snapshot, or the live graph over it.
            queries: The questions.
            epochs: See `SageInputs.epochs`.

        Returns:
            Where their samples come from.
        """
        width = open_graph(source).width
        if isinstance(source, LiveGraph) or len(queries.ext_node):
            return cls(source, width, epochs=epochs)
        # Nearly all accounts will be met: describing each once is then the cheaper way.
        many = len(queries) * _NEIGHBOURS >= source.n_accounts
        if many and bool((queries.horizon == source.end_horizon).all()):
            return cls(source, width, described(source), epochs)
        return cls(source, width, epochs=epochs)

    def draw(
        self,
        queries: Queries,
        fanouts: tuple[int, int],
        *,
        latest: bool,
        seed: int = 0,
        spread: bool = True,
    ) -> Sample:
        """Sample around the questions."""
        return sample(
            self.source,
            queries,
            self.profile_width,
            fanouts=fanouts,
            latest=latest,
            seed=seed,
            table=self.shared,
            spread=spread,
        )

    def gather(
        self,
        queries: Queries,
        encoding: Encoding,
        fanouts: tuple[int, int],
        *,
        latest: bool,
        seed: int = 0,
        with_seeds: bool = True,
        spread: bool = True,
    ) -> Gathered:
        """Sample around the questions and sum up to messages; hop 2 never stands in memory."""
        return gather(
            self.source,
            queries,
            encoding.mean,
            encoding.scale,
            fanouts=fanouts,
            latest=latest,
            seed=seed,
            table=self.shared,
            with_seeds=with_seeds,
            spread=spread,
        )


def run_sage(
    model: Sage,
    inputs: SageInputs,
    queries: Queries,
    *,
    rows: NDArray[np.float32] | None = None,
    known: Known | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Apply a model, on the most recent visible neighbours.

    An account that the snapshot has not seen gets its embedding in the same way, from the edges that its
    question brings.

    Args:
        model: The model.
        inputs: Where samples come from.
        queries: ``Q`` questions.
        rows: ``float32[Q, F]`` of `gnn.inputs.inputs` for them, where they are known already.
        known: Verdicts on others, for a model that is told of them.

    Returns:
        Log odds ``float64[Q]`` and embeddings ``float32[Q, H]``.

    Raises:
        ValueError: If the model is told of verdicts and none are given.
    """
    if model.told and known is None:
        message = "this GraphSAGE is told of verdicts on others: give `known`"
        raise ValueError(message)
    if not model.row_width:
        rows = None
    elif rows is None:
        rows = rows_of(inputs.source, queries, epochs=inputs.epochs)
    odds = np.empty(len(queries), np.float64)
    embedding = np.empty((len(queries), model.hidden), np.float32)
    for start in range(0, len(queries), _SCORE_BATCH):
        part = np.arange(start, min(start + _SCORE_BATCH, len(queries)))
        asked = queries if len(part) == len(queries) else queries.take(part)
        around = inputs.gather(asked, model.encoding, model.fanouts, latest=True, with_seeds=rows is None)
        told = None
        if model.told and known is not None:
            every = np.arange(len(around.side))
            told = Told.of(inputs.source, asked, known, model.fanouts[0]).columns(every, len(every))
        odds[part], embedding[part] = model.forward(
            around, None if rows is None else rows[start : start + _SCORE_BATCH], told
        )
    return odds, embedding
