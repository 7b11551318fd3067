"""The columns that the heads see: live features, sums over links, contact where it proved itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features import CONTACT_FEATURES, FeatureSpec, compute, contact, registry_of
from rings import LINK_FEATURES, link_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries
    from graph_etl import Snapshot


def input_specs(snapshot: Snapshot, *, with_contact: bool) -> list[FeatureSpec]:
    """The columns of `inputs`, in order.

    Args:
        snapshot: Gives the schema.
        with_contact: Whether known verdicts of others go in.

    Returns:
        One spec for each column.
    """
    specs = [*registry_of(snapshot).specs, *LINK_FEATURES]
    return [*specs, *CONTACT_FEATURES] if with_contact else specs


def inputs(snapshot: Snapshot, queries: Queries) -> NDArray[np.float32]:
    """Compute all columns that need no verdicts.

    Args:
        snapshot: The snapshot.
        queries: ``Q`` questions.

    Returns:
        ``float32[Q, F]``, as of each question's horizon.
    """
    return np.hstack([compute(snapshot, queries), link_features(snapshot, queries)])


def with_contacts(
    snapshot: Snapshot,
    queries: Queries,
    columns: NDArray[np.float32],
    since: NDArray[np.int64],
    until: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Append the columns about contact with known bad accounts.

    Args:
        snapshot: The snapshot.
        queries: ``Q`` questions.
        columns: ``float32[Q, F]`` of `inputs`.
        since: ``int64[A]``, see `features.contact`.
        until: ``int64[A]``.

    Returns:
        ``float32[Q, F + 4]``.
    """
    return np.hstack([columns, contact(snapshot, queries, since, until).features])
