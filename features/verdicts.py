"""From and until which position accounts are known to be bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot

_NEVER: Final = np.iinfo(np.int64).max


class KnownBad:
    """Known bad accounts: account ``a`` is known bad at horizon ``h`` where ``since[a] < h <= until[a]``.

    Attributes:
        since: ``int64[n]``, ``n`` at least the number of accounts.
        until: ``int64[n]``.
    """

    def __init__(self, n_accounts: int) -> None:
        self.since: NDArray[np.int64] = np.full(n_accounts, _NEVER, np.int64)
        self.until: NDArray[np.int64] = np.full(n_accounts, _NEVER, np.int64)
        self._of_snapshot: dict[int, list[int]] = {}

    def say(self, account: int, label: int, place: int) -> None:
        """Take a verdict in.

        Args:
            account: Account index.
            label: 1 bad; anything else is not.
            place: Position from which it is known; -1 for always.
        """
        is_bad = self.since[account] != _NEVER and self.until[account] == _NEVER
        if label == 1 and not is_bad:
            self.since[account], self.until[account] = place, _NEVER
        elif label != 1 and is_bad:
            self.until[account] = place

    def holds(self, account: int, horizon: int) -> bool:
        """Whether an account is known bad at a horizon."""
        return bool(self.since[account] < horizon <= self.until[account])

    def hold(self, account: int) -> None:
        """Make room for a new account."""
        if account < len(self.since):
            return
        for name in ("since", "until"):
            old = getattr(self, name)
            grown = np.full(max(1024, account + 1 + len(old) // 8), _NEVER, np.int64)
            grown[: len(old)] = old
            setattr(self, name, grown)

    def standing_of_snapshot(self, account: int) -> list[int]:
        """Labels of a snapshot's account that an undoing would go back through, the last one last.

        Args:
            account: Account index.

        Returns:
            What the files say of it, -1 if nothing, then the verdicts of the service that stand.
        """
        return list(self._of_snapshot.get(account, [-1]))

    def take_in(self, account: int, label: int, place: int, *, through_service: bool, undoes: bool) -> None:
        """Take a verdict of the snapshot in.

        Args:
            account: Account index.
            label: 1 bad; anything else is not.
            place: Position from which it is known; -1 for always.
            through_service: Whether it came through the service, where it can be undone.
            undoes: Whether it undoes the last such one.
        """
        standing = self._of_snapshot.setdefault(account, [-1])
        if undoes:
            del standing[max(1, len(standing) - 1) :]
        elif through_service:
            standing.append(label)
        else:
            standing[0] = label
        self.say(account, label, place)


def known_bad_of(snapshot: Snapshot, *, untimed: bool, at_events: bool = False) -> KnownBad:
    """From and until which position each account of a snapshot is known to be bad.

    Args:
        snapshot: The snapshot.
        untimed: Whether verdicts without a time count, as known from the start. They may for reasons and
            policies of today; never as an input of a model, since nobody knows when they became known.
        at_events: Whether all questions are asked just after an event, of `Queries.for_events` or at sign-up:
            a verdict between two events then counts from the second. Else it counts for all that is asked
            between the two.

    Returns:
        The table, which later verdicts can be added to.
    """
    table = KnownBad(snapshot.n_accounts)
    known_ms = np.asarray(snapshot.event_known_ms)
    columns = snapshot.verdicts.select("account", "label", "known_ms", "source", "undoes").iter_rows()
    for account, label, when, source, undoes in columns:
        if when is None and not untimed:
            continue
        place = -1
        if when is not None:
            place = int(np.searchsorted(known_ms, when, side="left"))
            # Known before the event at this position, not only with it: that event sees it too.
            if place == len(known_ms) or (known_ms[place] > when and not at_events):
                place -= 1
        table.take_in(account, label, place, through_service=source is not None, undoes=bool(undoes))
    return table
