r"""Where an account stands among those that deal with each other: coordinates from the graph's spectrum.

The leading singular vectors of the normalised adjacency of direct interactions, found without any verdict
(Chung, 1997; the embedding of spectral clustering, Ng et al., 2001). With :math:`S = D^{-1/2} A D^{-1/2}` and
:math:`S \approx U \Sigma V^\top`, the coordinates of an account are its row of :math:`U`, and

.. math:: u_i = d_i^{1/2} \cdot \frac{1}{d_i} \sum_{j \sim i} d_j^{-1/2} v_j \Sigma^{-1}

so an account that came later has its own too: a mean over those it dealt with, which scoring computes.

On tolokers, a dense graph with few attributes, they raised average precision of trees alone over ten test
parts from .619 to .629 (64 of them .626, 48 .624), where quantiles over neighbours, core numbers and
clustering raised nothing; the row ``less coordinates`` of `benchmarks.quality` tells it of the whole chain.
They are as of the end of the snapshot, so no moment in the past has them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy import sparse

from features import FeatureSpec, asked_of, extras_of, graph_of, registry_of, view_of
from graph_etl import NO_HUB
from rings.rows import mean_rows, over_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from features import Queries, Source
    from features.visibility import Extras
    from graph_etl import Snapshot

FAMILY: Final = "spectral"
WIDTH: Final = 128
"""Coordinates of an account."""
_COUNT: Final = "direct.accounts"
# Beyond, a bundle would grow by more than 50 MB.
_MOST_ACCOUNTS: Final = 100_000
# Both ends of each pair: the search reads them ten times, half a minute on one core.
_MOST_ENDS: Final = 10_000_000
# With fewer accounts that deal with each other as many coordinates would name them one by one.
_LEAST_ACCOUNTS: Final = 8 * WIDTH
# Where fewer accounts have any, nothing is gained that would pay for the trial.
_LEAST_SHARE: Final = 0.25
# Power iterations and further columns of the search (Halko et al., 2011): more of them move nothing.
_POWERS: Final = 4
_FURTHER: Final = 10


_SPECS: Final = tuple(
    FeatureSpec(
        f"{FAMILY}.{number}",
        FAMILY,
        FAMILY,
        f"coordinate {number} among accounts that deal with each other",
        "epoch",
    )
    for number in range(WIDTH)
)


def spectral_specs(source: Source) -> tuple[FeatureSpec, ...]:
    """The columns of coordinates.

    Args:
        source: Gives the schema.

    Returns:
        One spec for each; none where accounts never deal with each other directly.
    """
    return _SPECS if any(side.direct for side in view_of(source).sides) else ()


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """The coordinates of all accounts as of a horizon.

    Attributes:
        horizon: Entries with a position below it went in.
        own: ``float32[A, 128]``, NaN for accounts that dealt with nobody.
        told: ``float32[A, 128]``, what each account tells of those that deal with it; NaN likewise.
        gone: An account that counts as if it had none of its own; -1 for none.
        ARRAYS: Names of the arrays, as files hold them.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("horizon", "own", "told")

    horizon: int
    own: NDArray[np.float32]
    told: NDArray[np.float32]
    gone: int = -1

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it by name, as `Coordinates.of` reads it."""
        return {"horizon": np.array([self.horizon], np.int64), "own": self.own, "told": self.told}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Coordinates:
        """Coordinates from their arrays.

        Args:
            arrays: What `arrays` gave.

        Returns:
            The coordinates.

        Raises:
            KeyError: If one of them is missing.
        """
        return cls(int(arrays["horizon"][0]), arrays["own"], arrays["told"])

    def renumbered(self, place: NDArray[np.int64], n_accounts: int) -> Coordinates:
        """The same coordinates for a snapshot that numbers its accounts otherwise.

        Args:
            place: ``int64[A]``, the new index of each account, -1 where it is gone.
            n_accounts: Accounts of the new snapshot.

        Returns:
            The coordinates by new indices.
        """
        kept = place >= 0

        def moved(table: NDArray[np.float32]) -> NDArray[np.float32]:
            new = np.full((n_accounts, table.shape[1]), np.nan, np.float32)
            new[place[kept]] = table[kept]
            return new

        return Coordinates(self.horizon, moved(self.own), moved(self.told))

    def without(self, account: int) -> Coordinates:
        """The coordinates had an account none of its own: those that it deals with then say where it stands.

        Args:
            account: The account; -1 for one that nobody has seen.

        Returns:
            The coordinates.
        """
        return replace(self, gone=account)


def coordinates_of(snapshot: Snapshot, seed: int = 0) -> Coordinates | None:
    """Find the coordinates of all accounts at the end of a snapshot.

    Args:
        snapshot: The snapshot; its hubs and its verdicts play no part.
        seed: Of the search.

    Returns:
        The coordinates; None where too few accounts deal with each other, or there are too many accounts or
        dealings to search them in half a minute.
    """
    if not spectral_specs(snapshot) or snapshot.n_accounts > _MOST_ACCOUNTS:
        return None
    adjacency = _adjacency(snapshot)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    there = np.flatnonzero(degree)
    enough = len(there) >= max(_LEAST_ACCOUNTS, _LEAST_SHARE * snapshot.n_accounts)
    if not enough or adjacency.nnz > _MOST_ENDS:
        return None
    from sklearn.utils.extmath import randomized_svd  # here: scoring needs no scikit-learn

    root = np.sqrt(degree[there])
    scaled = sparse.diags(1.0 / root) @ adjacency[there][:, there] @ sparse.diags(1.0 / root)
    left, value, right = randomized_svd(
        scaled, WIDTH, n_oversamples=_FURTHER, n_iter=_POWERS, random_state=seed
    )
    # In units of a usual coordinate; a direction that the graph does not have says nothing of newcomers.
    spread = np.sqrt(len(there))
    inverse = np.divide(1.0, value, out=np.zeros_like(value), where=value > 1e-6)
    own = np.full((snapshot.n_accounts, WIDTH), np.nan, np.float32)
    told = own.copy()
    own[there] = spread * left
    told[there] = spread * (right.T * inverse) / root[:, None]
    return Coordinates(int(snapshot.end_horizon), own, told)


def _adjacency(snapshot: Snapshot) -> sparse.csr_matrix:
    """Who dealt with whom, once for each relation and direction; hubs tell nothing."""
    account_of = np.asarray(snapshot.node_account).astype(np.int64)
    usual = np.asarray(snapshot.hub_since) == NO_HUB
    ends: list[NDArray[np.int64]] = []
    for number in sorted({side.relation for side in view_of(snapshot).sides if side.direct}):
        pairs = snapshot.relations[number].pair_out
        source = np.repeat(np.arange(snapshot.n_nodes), pairs.indptr[1:] - pairs.indptr[:-1])
        target = np.asarray(pairs.nbr).astype(np.int64)
        one, other = account_of[source], account_of[target]
        kept = (one >= 0) & (other >= 0) & (one != other) & usual[source] & usual[target]
        ends += [np.stack([one[kept], other[kept]]), np.stack([other[kept], one[kept]])]
    rows, columns = np.concatenate(ends, axis=1)
    n = snapshot.n_accounts
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))


def with_coordinates(
    columns: NDArray[np.float32],
    source: Source,
    queries: Queries,
    coordinates: Coordinates,
    extras: Extras | None = None,
) -> NDArray[np.float32]:
    """Fill in the coordinates of questions that may know them.

    An account that was there when they were found keeps its own; any other has what those say that it dealt
    with, as the question sees it.

    Args:
        columns: ``float32[Q, F]`` of `gnn.inputs.inputs`, whose last ones are those of coordinates.
        source: The graph.
        queries: ``Q`` questions.
        coordinates: What was found.
        extras: What `features.extras_of` gives for the questions, where it is known already.

    Returns:
        ``float32[Q, F]``, a copy; NaN stays where the horizon is earlier, or where nobody was dealt with.
    """
    found = np.full((len(queries), WIDTH), np.nan, np.float32)
    account = queries.account
    known = (account >= 0) & (account < len(coordinates.own)) & (account != coordinates.gone)
    found[known] = coordinates.own[account[known]]
    new = np.flatnonzero(np.isnan(found[:, 0]))
    if len(new):
        some = queries if len(new) == len(queries) else queries.take(new)
        brought = extras if extras is not None and some is queries else extras_of(source, some)
        count = np.expm1(columns[new, registry_of(source).names.index(_COUNT)])
        found[new] = _mean(source, some, coordinates.told, brought) * np.sqrt(count)[:, None]
    found[queries.horizon < coordinates.horizon] = np.nan
    filled = columns.copy()
    filled[:, -WIDTH:] = found
    return filled


def _mean(
    source: Source, queries: Queries, table: NDArray[np.float32], extras: Extras
) -> NDArray[np.float32]:
    """Mean rows of a table by account over the accounts that each question's account dealt with."""
    out = np.empty((len(queries), table.shape[1]), np.float32)
    graph, asked = graph_of(source), asked_of(queries)
    over_threads(lambda first, last: mean_rows(graph, table, asked, extras, first, last, out), len(queries))
    return out
