"""Reads accounts, their identifiers and who shares those, from the live graph."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features import LiveGraph, Queries
from graph_etl import NO_TIME, Content, LiveCut, LiveEvent, LiveVerdict
from scoring_service.policy import SharedUse

MAX_USERS = 256
"""Users of one identifier that are looked at; one with more links nobody (`max_accounts` ends here too)."""

MAX_OWN = 100
"""Identifiers of one account that are looked at, of each kind, the latest ones."""


_NEVER = np.iinfo(np.int64).max


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


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict on an account.

    Attributes:
        label: 1 bad, 0 good, None where it undoes the one before.
        known_ms: From when on it was known; None if nobody told.
        reason: Why, in words.
        source: Who gave it, if over the API; None for one of the files.
        abuse_type: What the account did, if bad.
    """

    label: int | None
    known_ms: int | None
    reason: str | None
    source: str | None = None
    abuse_type: str | None = None


class AccountRepository:
    """Reads one live graph; everything here is bounded, whatever the account shares.

    Args:
        live: The graph.

    Attributes:
        kind_of_relation: Kind of identifier by the number of the relation of its uses.
        identifier_kinds: Those kinds.
    """

    def __init__(self, live: LiveGraph) -> None:
        self.live = live
        snapshot = live.snapshot
        self.kind_of_relation: dict[int, str] = {
            index: relation.name.removeprefix("used:")
            for index, relation in enumerate(snapshot.relations)
            if relation.used and all(snapshot.kinds[kind].identifier for kind in relation.to_kinds)
        }
        self.identifier_kinds = tuple(self.kind_of_relation.values())
        self._last_seen_ms: dict[int, int] = {}
        # By account the others that it was called not linked with, and when that ends.
        self._cut_from: dict[int, dict[int, int]] = {}
        for (account, other), until_ms in live.cuts.items():
            self._cut(account, other, until_ms)

    def saw(self, content: Content) -> None:
        """Note what a row of the journal says; called for each one once it is in the graph."""
        if isinstance(content, LiveEvent):
            account = self.live.account_index(content.account)
            if account is not None and content.time_ms != NO_TIME:
                self._last_seen_ms[account] = max(content.time_ms, self._last_seen_ms.get(account, NO_TIME))
        elif isinstance(content, LiveCut):
            account, other = (self.live.account_index(key) for key in (content.account, content.other))
            if account is not None and other is not None:
                until_ms = _NEVER if content.until_ms is None else content.until_ms
                self._cut(account, other, NO_TIME if content.undone else until_ms)

    def _cut(self, account: int, other: int, until_ms: int) -> None:
        for one, from_other in ((account, other), (other, account)):
            self._cut_from.setdefault(one, {})[from_other] = until_ms

    def is_cut(self, account: int, other: int, time_ms: int) -> bool:
        """Whether two accounts were called not linked, and still are at a time."""
        return self._cut_from.get(account, {}).get(other, NO_TIME) > time_ms

    def last_seen_ms(self, account: int) -> int:
        """When an account was last seen, milliseconds; `NO_TIME` if nobody told."""
        snapshot = self.live.snapshot
        before = int(snapshot.last_seen_ms[account]) if account < snapshot.n_accounts else NO_TIME
        return max(before, self._last_seen_ms.get(account, NO_TIME))

    def find(self, account_key: str) -> int | None:
        """Return an account's index, None if nobody has seen it."""
        return self.live.account_index(account_key)

    def about(self, account: int, time_ms: int) -> Queries:
        """Ask about an account as it stands at this moment, with no event of its own.

        Args:
            account: Account index.
            time_ms: The end of all time windows.

        Returns:
            One question.
        """
        return self.live.question(LiveEvent("", self.live.account_id(account), time_ms))

    def is_known_bad(self, account: int) -> bool:
        """Whether the last verdict on an account says bad."""
        return bool(self.known_bad(np.array([account]))[0])

    def known_bad(self, accounts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which accounts the last verdict calls bad.

        Args:
            accounts: `int64[n]` account indices.

        Returns:
            `bool[n]`.
        """
        table = self.live.known_bad
        # Without a look at the horizon: a verdict may have become known after the last event, and whoever
        # reads the graph as it stands knows it.
        bad: NDArray[np.bool_] = (table.since[accounts] != _NEVER) & (table.until[accounts] == _NEVER)
        return bad

    def share_known_bad(self) -> float:
        """Share of all accounts that are confirmed bad, 0 to 1."""
        everybody = np.arange(self.live.n_accounts)
        return float(np.mean(self.known_bad(everybody))) if len(everybody) else 0.0

    def verdicts(self, account: int) -> list[GivenVerdict]:
        """List every verdict on an account, the oldest first, with those that undo one."""
        snapshot = self.live.snapshot
        found: list[GivenVerdict] = []
        if account < snapshot.n_accounts:
            for row in snapshot.verdicts.filter(pl.col("account") == account).iter_rows(named=True):
                found.append(_of_snapshot(row))
        return found + [_of_journal(verdict) for verdict in self.live.live_verdicts(account)]

    def standing(self, account: int) -> list[GivenVerdict]:
        """List the verdicts on an account that were not taken back, the one that holds last."""
        standing: list[GivenVerdict] = []
        for verdict in self.verdicts(account):
            if verdict.label is not None:
                standing.append(verdict)
                continue
            # Only what came over the API can be taken back.
            given = [place for place, one in enumerate(standing) if one.source is not None]
            if given:
                del standing[given[-1]]
        return standing

    def identifiers(self, account: int) -> list[IdentifierUse]:
        """List identifiers of an account, the latest of each kind, the rarest first."""
        live = self.live
        found = [
            IdentifierUse(kind, node, live.node_key(node), live.n_used_by(node), live.is_hub(node))
            for kind, node in self.nodes_of(account)
        ]
        return sorted(found, key=lambda use: (use.accounts, use.kind, use.key))

    def nodes_of(self, account: int) -> list[tuple[str, int]]:
        """List kind and node of the identifiers that an account used, the latest 100 of each kind."""
        return [
            (kind, node) for kind in self.identifier_kinds for node in self.live.used(account, kind, MAX_OWN)
        ]

    def users(self, node: int) -> NDArray[np.int64] | None:
        """Accounts that used an identifier.

        Args:
            node: Its node.

        Returns:
            Account indices; None if it links nobody: a hub, or one with more than `MAX_USERS` users.
        """
        if self.live.is_hub(node):
            return None
        users = self.live.used_by(node, MAX_USERS + 1)
        return None if len(users) > MAX_USERS else users

    def shared_with_bad(self, others: Iterable[tuple[str, int, NDArray[np.int64]]]) -> Sequence[SharedUse]:
        """Find the identifiers that a confirmed bad account used too.

        Args:
            others: Kind and node of each identifier, and who else used it.

        Returns:
            Uses with at least one confirmed bad account.
        """
        found: list[SharedUse] = []
        for kind, node, accounts in others:
            bad = int(np.count_nonzero(self.known_bad(accounts))) if len(accounts) else 0
            if bad:
                found.append(SharedUse(kind, node, len(accounts), bad))
        return found

    def company(
        self, account: int | None, nodes: Iterable[tuple[str, int]], time_ms: int
    ) -> list[tuple[str, int, NDArray[np.int64]]]:
        """Find who else used identifiers.

        Args:
            account: The account, which is not its own company; None for one that nobody has seen.
            nodes: Kind and node of each identifier.
            time_ms: Cuts that have ended by then do not count.

        Returns:
            Kind, node and account indices; identifiers that link nobody are left out, and so are accounts
            that were called not linked with this one.
        """
        found = []
        cut = {} if account is None else self._cut_from.get(account, {})
        apart = [other for other, until_ms in cut.items() if until_ms > time_ms]
        for kind, node in dict.fromkeys(nodes):
            users = self.users(node)
            if users is None:
                continue
            if account is not None:
                users = users[users != account]
            if apart:
                users = users[~np.isin(users, apart)]
            found.append((kind, node, users))
        return found


def _of_snapshot(row: dict[str, Any]) -> GivenVerdict:
    label = None if row["undoes"] else row["label"]
    return GivenVerdict(label, row["known_ms"], row["reason"], row["source"], row["abuse_type"])


def _of_journal(verdict: LiveVerdict) -> GivenVerdict:
    return GivenVerdict(verdict.label, verdict.known_ms, verdict.reason, verdict.source, verdict.abuse_type)
