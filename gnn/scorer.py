"""Scoring with a bundle: the same path for the whole snapshot and for one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features import (
    Contact,
    KnownBad,
    LiveGraph,
    Reputation,
    contact,
    extras_of,
    known_bad_of,
    moment_ms,
    reputation,
)
from features.queries import EVENT
from gnn.bundle import percentile_of
from gnn.errors import BundleError
from gnn.inputs import input_specs, inputs, with_contacts
from gnn.label_free import label_free_margin
from gnn.sage import SageInputs, run_sage
from gnn.sage_verdicts import Known
from gnn.spectral import with_coordinates
from gnn.trees import margins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features import Queries, Source
    from features.visibility import Extras
    from gnn.bundle import Bundle
    from graph_etl import Snapshot


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """Scores with what they came from.

    Attributes:
        score: ``float64[Q]`` in [0, 1]; a probability where ``calibrated``.
        percentile: ``float64[Q]``: share of the snapshot's accounts with a lower score at this moment.
        margin: ``float64[Q]``, log odds before calibration.
        features: ``float32[Q, F]`` as the head saw them.
        moment: The head used.
        calibrated: Whether its scores are probabilities.
        contact: Known bad accounts nearby as of today, untimed verdicts included: for reasons and policy.
    """

    score: NDArray[np.float64]
    percentile: NDArray[np.float64]
    margin: NDArray[np.float64]
    features: NDArray[np.float32]
    moment: str
    calibrated: bool
    contact: Contact


class Scorer:
    """Scores questions about one graph with one bundle.

    Args:
        source: The snapshot, or the live graph over it.
        bundle: A bundle with the same feature schema.

    Raises:
        BundleError: If the schemas differ.
    """

    def __init__(self, source: Source, bundle: Bundle) -> None:
        self.source = source
        self.bundle = bundle
        self.specs = input_specs(source, with_contact=True)
        expected = [spec.name for spec in input_specs(source, with_contact=False)]
        width = {True: len(self.specs), False: len(expected)}
        if bundle.manifest["features"] != expected or any(
            head.booster is not None and head.booster.n_features != width[head.contact]
            for head in bundle.heads.values()
        ):
            message = (
                f"{bundle.path}: made for another feature schema than snapshot {source.id}; "
                "run `ringwatch train`"
            )
            raise BundleError(message)
        if isinstance(source, LiveGraph):
            # Its own tables: verdicts that come in count at once.
            self._timed, self.known_bad = source.known_bad_timed, source.known_bad
        else:
            self._timed = known_bad_of(source, untimed=False)
            self.known_bad = known_bad_of(source, untimed=True)
        self._quantiles = {moment: bundle.quantiles(moment) for moment in bundle.moments}
        self._ages = {moment: moment_ms(moment) for moment in bundle.moments}
        self.epochs = bundle.epochs_for(self.snapshot)
        self.coordinates = bundle.coordinates_for(self.snapshot)
        # Read now, so that a missing or damaged file shows here and not at the first question.
        self._sage = bundle.sage if any(head.blend.weight > 0.0 for head in bundle.heads.values()) else None

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot, or the one below the live graph."""
        return self.source.snapshot if isinstance(self.source, LiveGraph) else self.source

    def moment_for(self, age_ms: int) -> str:
        """The head for an account of an age.

        Args:
            age_ms: Milliseconds since it first appeared.

        Returns:
            The head for events once it has signed up, if there is one; else the latest moment that it has
            reached; the main one where none is.
        """
        if age_ms > 0 and EVENT in self.bundle.heads:
            return EVENT
        reached = [(age, name) for name, age in self._ages.items() if age is not None and age <= age_ms]
        return max(reached)[1] if reached else self.bundle.main_moment

    def score(self, queries: Queries, moment: str | None = None) -> ScoreResult:
        """Score questions.

        Args:
            queries: ``Q`` questions.
            moment: The head; that of the main moment if None.

        Returns:
            The scores.

        Raises:
            BundleError: If the bundle has no head for the moment.
        """
        name = self.bundle.main_moment if moment is None else moment
        if name not in self.bundle.heads:
            known = ", ".join(self.bundle.moments)
            message = f"{self.bundle.path}: no head for the moment '{name}'; there are: {known}"
            raise BundleError(message)
        head = self.bundle.heads[name]
        extras = extras_of(self.source, queries)
        columns = rows = inputs(self.source, queries, extras, self.epochs)
        if head.spectral and self.coordinates is not None:
            columns = with_coordinates(rows, self.source, queries, self.coordinates, extras)
        if head.contact:
            timed = self._timed
            columns = with_contacts(self.source, queries, columns, timed.since, timed.until, extras)
        if head.booster is None:
            margin = label_free_margin(self.specs, columns)
        else:
            odds = None
            if head.blend.weight > 0.0 and self._sage is not None:
                told = Known(self._timed.since, self._timed.until)
                where = SageInputs.of(self.source, queries)
                odds, _ = run_sage(self._sage, where, queries, rows=rows, known=told)
            margin = head.blend(margins(head.booster, columns), odds)
        score = head.calibration(margin)
        return ScoreResult(
            score=score,
            percentile=percentile_of(self._quantiles[name], score),
            margin=margin,
            features=columns,
            moment=name,
            calibrated=head.calibrated,
            contact=self._contact(queries, self.known_bad, extras),
        )

    def reputation(self, queries: Queries) -> Reputation:
        """What heads that know the verdicts of others are told of the things that accounts touch.

        Args:
            queries: ``Q`` questions.

        Returns:
            The reputations, by verdicts with a time.
        """
        return reputation(self.source, queries, self._timed.since, self._timed.until)

    def _contact(self, queries: Queries, known_bad: KnownBad, extras: Extras) -> Contact:
        return contact(self.source, queries, known_bad.since, known_bad.until, extras)
