"""Reads accounts, their identifiers and who shares those, from the mapped snapshot."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from graph_etl import NO_TIME, Relation, Snapshot
from scoring_service.policy import SharedUse

MAX_USERS = 256
"""Users of one identifier that are looked at; one with more links nobody (`max_accounts` ends here too)."""

NEVER_MS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class IdentifierUse:
    """An identifier that an account uses.

    Attributes:
        kind: Its kind.
        node: Its node.
        key: Its hash, or its value where the kind is public.
        accounts: Accounts that used it, this one included.
        is_hub: Whether it is too common to link anybody.
    """

    kind: str
    node: int
    key: str
    accounts: int
    is_hub: bool


class AccountRepository:
    """Reads one snapshot; everything here is bounded, whatever the account shares.

    Args:
        snapshot: The snapshot.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.identifier_relations: tuple[tuple[str, Relation], ...] = tuple(
            (relation.name.removeprefix("used:"), relation)
            for relation in snapshot.relations
            if relation.used and all(snapshot.kinds[kind].identifier for kind in relation.to_kinds)
        )
        self._by_kind = dict(self.identifier_relations)
        self.end_ms = _end_ms(snapshot)
        self.bad_from_ms = _bad_from_ms(snapshot, self.end_ms)
        # A verdict may have become known after the last event; whoever reads the snapshot knows it.
        known_ms = snapshot.verdicts["known_ms"].max()
        self.known_until_ms = max(self.end_ms, known_ms) if isinstance(known_ms, int) else self.end_ms

    def find(self, account_id: str) -> int | None:
        """Return an account's index, None if the snapshot has not seen it."""
        return self.snapshot.account_index(account_id)

    def is_confirmed_bad(self, account: int, time_ms: int) -> bool:
        """Whether the last verdict on an account says bad and was known at a time."""
        return bool(self.bad_from_ms[account] <= time_ms)

    def is_known_bad(self, account: int) -> bool:
        """Whether the last verdict on an account says bad."""
        return bool(self.bad_from_ms[account] != NEVER_MS)

    def verdict(self, account: int) -> dict[str, Any] | None:
        """Return the last verdict on an account: label, known_ms, reason."""
        rows = self.snapshot.verdicts.filter(pl.col("account") == account)
        return None if rows.is_empty() else rows.row(-1, named=True)

    def identifiers(self, account: int, limit: int = 100) -> list[IdentifierUse]:
        """List identifiers of an account, the rarest first.

        Args:
            account: Account index.
            limit: At most this many of each kind, the most recent ones.

        Returns:
            Its identifiers.
        """
        node = int(self.snapshot.account_node[account])
        found: list[IdentifierUse] = []
        for kind, relation in self.identifier_relations:
            used = relation.pair_out
            for entity in used.nbr[used.of(node)][-limit:]:
                found.append(self._use(kind, relation, int(entity)))
        return sorted(found, key=lambda use: (use.accounts, use.kind, use.key))

    def _use(self, kind: str, relation: Relation, entity: int) -> IdentifierUse:
        span = relation.pair_in.of(entity)
        return IdentifierUse(
            kind=kind,
            node=entity,
            key=self.snapshot.node_keys[entity],
            accounts=span.stop - span.start,
            is_hub=bool(self.snapshot.hub_since[entity] < self.snapshot.end_horizon),
        )

    def users(self, kind: str, entity: int, horizon: int) -> NDArray[np.int32] | None:
        """Accounts that used an identifier before a horizon.

        Args:
            kind: Its kind.
            entity: Its node.
            horizon: Entries with a position below it count.

        Returns:
            Account indices; None if it is a hub or more than `MAX_USERS` used it.
        """
        relation = self._by_kind.get(kind)
        if relation is None:
            return np.zeros(0, np.int32)
        span = relation.pair_in.of(entity, horizon)
        if span.stop - span.start > MAX_USERS or self.snapshot.hub_since[entity] < horizon:
            return None
        return np.asarray(self.snapshot.node_account[relation.pair_in.nbr[span]])

    def nodes_of(self, account: int, horizon: int, limit: int = 100) -> Iterator[tuple[str, int]]:
        """Yield kind and node of the identifiers used before a horizon, the latest 100 of each kind."""
        node = int(self.snapshot.account_node[account])
        for kind, relation in self.identifier_relations:
            for entity in relation.pair_out.nbr[relation.pair_out.of(node, horizon)][-limit:]:
                yield kind, int(entity)

    def shared_with_bad(
        self, account: int | None, entities: Iterable[tuple[str, int]], horizon: int, time_ms: int
    ) -> Sequence[SharedUse]:
        """Find the identifiers that a confirmed bad account used too.

        Args:
            account: The account, which does not count as its own company; None for one that nobody has seen.
            entities: Kind and node of its identifiers.
            horizon: Entries with a position below it count.
            time_ms: Verdicts known by then count.

        Returns:
            Uses with at least one confirmed bad account.
        """
        found: list[SharedUse] = []
        for kind, entity in dict.fromkeys(entities):
            users = self.users(kind, entity, horizon)
            if users is None or len(users) == 0:
                continue
            others = users if account is None else users[users != account]
            bad = int(np.count_nonzero(self.bad_from_ms[others] <= time_ms))
            if bad:
                found.append(SharedUse(kind, entity, len(others), bad))
        return found


def _end_ms(snapshot: Snapshot) -> int:
    """Return when the snapshot's last row became known; `NO_TIME` where nothing is timed."""
    span = snapshot.manifest.get("time_range_ms")
    if span and span[1] is not None:
        return int(span[1])
    return int(snapshot.event_known_ms[-1]) if snapshot.n_events else NO_TIME


def _bad_from_ms(snapshot: Snapshot, end_ms: int) -> NDArray[np.int64]:
    """When each account's last verdict, if it says bad, became known.

    A verdict without a time is no input of a feature, because nobody can say when it would have been seen.
    At the snapshot's end it is known all the same: it stands in the files.

    Returns:
        `int64[A]`, `NEVER_MS` for accounts that are not confirmed bad.
    """
    bad_from_ms = np.full(snapshot.n_accounts, NEVER_MS, dtype=np.int64)
    last = snapshot.verdicts.group_by("account", maintain_order=True).last().filter(pl.col("label") == 1)
    bad_from_ms[last["account"].to_numpy()] = last["known_ms"].fill_null(end_ms).to_numpy()
    return bad_from_ms
