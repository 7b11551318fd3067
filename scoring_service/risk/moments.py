"""Which moment of an account's life an event falls into, so that the matching head and thresholds answer."""

import numpy as np

from features import moment_ms
from graph_etl import NO_TIME, Snapshot

RETROSPECTIVE = "retrospective"


class Moments:
    """The moments that the models know, with the age that each stands for.

    `retrospective` sees an account as old as the accounts of the graph are at its end, so it stands for their
    median age.

    Args:
        snapshot: The snapshot.
        names: Moments that the models know; those of the snapshot without models.
    """

    def __init__(self, snapshot: Snapshot, names: list[str], end_ms: int) -> None:
        first_seen_ms = np.asarray(snapshot.first_seen_ms)
        timed = first_seen_ms[first_seen_ms != NO_TIME]
        median_age_ms = int(end_ms - np.median(timed)) if len(timed) else 0
        ages = {name: moment_ms(name) for name in names}
        self._first_seen_ms = first_seen_ms
        self._ages: list[tuple[int, str]] = sorted(
            (median_age_ms if age_ms is None else age_ms, name) for name, age_ms in ages.items()
        )
        self._is_timed = len(timed) > 0

    def of(self, account: int | None, time_ms: int) -> str:
        """Return the moment of an event.

        Args:
            account: Account index; None for one that the graph has not seen, which is at its sign-up.
            time_ms: When the event happened.

        Returns:
            The moment with the greatest age that the account has reached, the youngest if none.
        """
        if not self._is_timed:
            return RETROSPECTIVE if any(name == RETROSPECTIVE for _, name in self._ages) else self._ages[0][1]
        age_ms = 0
        if account is not None:
            seen_ms = int(self._first_seen_ms[account])
            if seen_ms == NO_TIME:
                return self._ages[-1][1]
            age_ms = max(0, time_ms - seen_ms)
        reached = [name for from_ms, name in self._ages if from_ms <= age_ms]
        return reached[-1] if reached else self._ages[0][1]
