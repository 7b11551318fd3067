"""Which moment of an account's life an event falls into, so that the matching head and thresholds answer."""

from collections.abc import Sequence

import numpy as np

from features import moment_ms
from features.queries import EVENT
from gnn.bundle import main_moment
from graph_etl import NO_TIME, Snapshot

RETROSPECTIVE = "retrospective"


class Moments:
    """The moments that the models know, with the age that each stands for.

    `retrospective` sees an account as old as the accounts of the graph are at its end, so it stands for their
    median age.

    Args:
        snapshot: The snapshot.
        names: Moments that the models know; those of the snapshot without models.
        end_ms: Time of the snapshot's last event; None where nothing is timed.
    """

    def __init__(self, snapshot: Snapshot, names: Sequence[str], end_ms: int | None) -> None:
        first_seen_ms = np.asarray(snapshot.first_seen_ms)
        timed = first_seen_ms[first_seen_ms != NO_TIME]
        self._is_timed = end_ms is not None and len(timed) > 0
        median_age_ms = int(end_ms - np.median(timed)) if end_ms is not None and len(timed) else 0
        self._by_doing = EVENT in names
        ages = {name: moment_ms(name) for name in names if name != EVENT}
        self._ages: list[tuple[int, str]] = sorted(
            (median_age_ms if age_ms is None else age_ms, name) for name, age_ms in ages.items()
        )
        self.last = main_moment(names)

    def of(self, is_known: bool, first_seen_ms: int, time_ms: int) -> str:
        """Return the moment of an event.

        Args:
            is_known: Whether the graph has seen the account; one that it has not is at its sign-up.
            first_seen_ms: When the account first appeared; `NO_TIME` if nobody told.
            time_ms: When the event happened.

        Returns:
            The moment with the greatest age that the account has reached, the youngest if none.
        """
        if not self._is_timed:
            return self.last
        if is_known and first_seen_ms == NO_TIME:
            return self._ages[-1][1]
        if is_known and self._by_doing:
            return EVENT
        age_ms = max(0, time_ms - first_seen_ms) if is_known else 0
        chosen = self._ages[0][1]
        for from_ms, name in self._ages:
            if from_ms > age_ms:
                break
            chosen = name
        return chosen
