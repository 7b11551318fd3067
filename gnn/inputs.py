"""The columns that heads see: live and epoch features, verdicts of others where they proved themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features import (
    CONTACT_FEATURES,
    REPUTATION_FEATURES,
    FeatureSpec,
    compute,
    contact,
    extras_of,
    registry_of,
    reputation,
)
from features.rhythm import rhythm, rhythm_specs
from gnn.spectral import spectral_specs
from rings import LINK_FEATURES, around_specs, community_specs, link_features, neighbourhoods

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from features import Queries, Source
    from features.visibility import Extras
    from rings import Epoch

# Families whose values come from an epoch, not from the rows that are visible.
EPOCH_FAMILIES: Final = ("community", "around")


def input_specs(source: Source, *, with_contact: bool) -> list[FeatureSpec]:
    """The columns of `inputs`, in order.

    Args:
        source: Gives the schema.
        with_contact: Whether known verdicts of others go in.

    Returns:
        One spec for each column.
    """
    specs = [
        *registry_of(source).specs,
        *LINK_FEATURES,
        *community_specs(source),
        *rhythm_specs(source),
        *around_specs(source),
        *spectral_specs(source),
    ]
    return [*specs, *CONTACT_FEATURES, *REPUTATION_FEATURES] if with_contact else specs


def places_of(source: Source, families: Collection[str]) -> list[int]:
    """Columns of `inputs` that belong to some families.

    Args:
        source: Gives the schema.
        families: See `features.FeatureSpec`.

    Returns:
        Their places.
    """
    specs = input_specs(source, with_contact=False)
    return [place for place, spec in enumerate(specs) if spec.family in families]


def inputs(
    source: Source, queries: Queries, extras: Extras | None = None, epochs: Sequence[Epoch] = ()
) -> NDArray[np.float32]:
    """Compute all columns that need no verdicts; those of coordinates stay NaN, see `gnn.spectral`.

    Args:
        source: The graph.
        queries: ``Q`` questions.
        extras: What `features.extras_of` gives for the questions, where it is known already.
        epochs: Communities and neighbourhoods at some horizons, as a bundle keeps them; without one that is
            early enough their columns are NaN.

    Returns:
        ``float32[Q, F]``, as of each question's horizon.
    """
    brought = extras_of(source, queries) if extras is None else extras
    return np.hstack(
        [
            compute(source, queries, extras=brought),
            link_features(source, queries, extras=brought, epochs=epochs),
            rhythm(source, queries, brought),
            neighbourhoods(source, queries, epochs, brought),
            np.full((len(queries), len(spectral_specs(source))), np.nan, np.float32),
        ]
    )


def with_contacts(
    source: Source,
    queries: Queries,
    columns: NDArray[np.float32],
    since: NDArray[np.int64],
    until: NDArray[np.int64],
    extras: Extras | None = None,
) -> NDArray[np.float32]:
    """Append the columns about contact with known bad accounts, and about the reputation of what it touches.

    Args:
        source: The graph.
        queries: ``Q`` questions.
        columns: ``float32[Q, F]`` of `inputs`.
        since: ``int64[A]``, see `features.contact`.
        until: ``int64[A]``.
        extras: What `features.extras_of` gives for the questions, where it is known already.

    Returns:
        ``float32[Q, F + 7]``.
    """
    brought = extras_of(source, queries) if extras is None else extras
    return np.hstack(
        [
            columns,
            contact(source, queries, since, until, brought).features,
            reputation(source, queries, since, until, brought).features,
        ]
    )
