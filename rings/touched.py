"""What new events touch: which links, which groups, which rings a run has to find anew.

A run that builds on another computes every link anew, which is linear and compiled. A link hangs on everybody
who uses the same things or appeared beside the two, so nearly every weight moves in the sixth digit when
anybody does anything. So a link counts as touched if one of its ends did something or its weight has moved
by more than `MOVED`. Accounts are grouped anew where links moved. A ring of which no member, no link and
nothing shared is touched stays as it was told of, with the weights that it had; all others have today's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from rings.benign import OPEN
from rings.carried import Carried, account_names, names_hash
from rings.communities import communities
from rings.links import Links
from rings.run import pack, unpack
from rings.significance import SIGNIFICANT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from rings.communities import CommunityConfig
    from rings.run import RingsRun

MOVED: Final = 0.05
"""A link whose weight changes by more has moved; one that is not there weighs the least that there is."""


@dataclass(frozen=True)
class Settled:
    """Links of before and of today, side by side.

    Attributes:
        before: All pairs that are linked before or today; weight and source as they were.
        today: The same pairs, as they are today.
        had: ``bool[P]``, pairs that were linked.
        has: ``bool[P]``, pairs that are linked.
        fresh: ``bool[P]``, pairs of which an end did something, and those whose weight has moved.
        moved: ``bool[A]``, ends of links that moved.
        touched: ``bool[A]``, accounts that did something, and ends of fresh pairs that are not as they were.
    """

    before: Links
    today: Links
    had: NDArray[np.bool_]
    has: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    touched: NDArray[np.bool_]

    def links(self, stands: NDArray[np.bool_]) -> Links:
        """The links, as they were where nothing touched them and their rings stand.

        Args:
            stands: ``bool[A]``, members of rings that nothing touched.

        Returns:
            The links.
        """
        old = ~self.fresh & (stands[self.before.a] | stands[self.before.b])
        kept = np.where(old, self.had, self.has)
        old = old[kept]
        was, now = self.before.take(kept), self.today.take(kept)
        return Links(
            was.a,
            was.b,
            np.where(old, was.weight, now.weight),
            np.where(old, was.source, now.source),
            np.where(old, was.via, now.via),
        )


@dataclass(frozen=True)
class Standing:
    """The run before, and what of it still stands.

    Attributes:
        run: The run before.
        carried: What it left.
        links: Its links, in the numbers of today's accounts; those of accounts that are gone are left out.
        member: ``int32[A]``, row of its table of each account's ring, or -1.
        stirred: ``bool[A]``, accounts that are new, did something, or of whom something else is said.
        same_numbers: Whether its numbers of nodes and accounts mean the same today.
        was: ``int64[R]``, for each ring of today the row of the one with the same members, or -1.
    """

    run: RingsRun
    carried: Carried
    links: Links
    member: NDArray[np.int32]
    stirred: NDArray[np.bool_]
    same_numbers: bool
    was: NDArray[np.int64]

    @classmethod
    def of(
        cls, run: RingsRun, snapshot: Snapshot, prints: NDArray[np.uint64], grouping: CommunityConfig
    ) -> Standing | None:
        """Read the run before with today's numbers.

        Args:
            run: The run before.
            snapshot: The snapshot of today.
            prints: ``uint64[A]``, today's prints of accounts.
            grouping: How links become communities.

        Returns:
            The same; None if it left nothing behind or grouped in another way.
        """
        carried = run.carried
        if carried is None or run.manifest["communities"] != grouping.model_dump():
            return None
        n_before, n_accounts = len(carried.accounts), snapshot.n_accounts
        same = carried.n_nodes <= snapshot.n_nodes and n_before <= n_accounts
        same = same and names_hash(snapshot, carried.n_nodes) == carried.names
        now = np.arange(n_before, dtype=np.int64)
        if not same and n_accounts:
            ids = account_names(snapshot)
            order = np.argsort(ids)
            place = np.minimum(np.searchsorted(ids, carried.ids, sorter=order), n_accounts - 1)
            now = np.where(ids[order[place]] == carried.ids, order[place], -1)
        kept = now >= 0
        stirred = np.ones(n_accounts, np.bool_)
        stirred[now[kept]] = prints[now[kept]] != carried.accounts[kept]
        row = {ring: at for at, ring in enumerate(run.table["ring"])}
        member = np.full(n_accounts, -1, np.int32)
        at = now[run.members["account"].to_numpy()]
        home = np.array([row[ring] for ring in run.members["ring"]], np.int32)
        member[at[at >= 0]] = home[at >= 0]
        a, b = now[carried.links.a], now[carried.links.b]
        rows = np.flatnonzero((a >= 0) & (b >= 0))
        low, high = np.minimum(a, b)[rows], np.maximum(a, b)[rows]
        order = np.lexsort((high, low))
        left, rows = carried.links, rows[order]
        via = left.via[rows]
        if not same:
            via = np.full(len(via), -1, np.int32)
        ends = low[order].astype(np.int32), high[order].astype(np.int32)
        links = Links(*ends, left.weight[rows], left.source[rows], via)
        return cls(run, carried, links, member, stirred, bool(same), np.zeros(0, np.int64))

    def settled(self, links: Links, least: float) -> Settled:
        """Hold the links of before against those of today.

        Args:
            links: The links as they are found today.
            least: Links are dropped below this weight.

        Returns:
            Both, and whom they touch.
        """
        n_accounts = np.int64(len(self.stirred))
        was, now = (each.a.astype(np.int64) * n_accounts + each.b for each in (self.links, links))
        key = np.union1d(was, now)
        a, b = (key // n_accounts).astype(np.int32), (key % n_accounts).astype(np.int32)
        sides, there = [], []
        for places, found in ((np.searchsorted(key, was), self.links), (np.searchsorted(key, now), links)):
            weight, source = np.full(len(key), np.float32(least)), np.zeros(len(key), np.uint8)
            via, linked = np.full(len(key), -1, np.int32), np.zeros(len(key), np.bool_)
            weight[places], source[places], via[places] = found.weight, found.source, found.via
            linked[places] = True
            sides.append(Links(a, b, weight, source, via))
            there.append(linked)
        before, today = sides
        had, has = there
        far = np.abs(before.weight - today.weight) > MOVED
        fresh = self.stirred[a] | self.stirred[b] | far
        moved, touched = np.zeros(len(self.stirred), np.bool_), self.stirred.copy()
        other = fresh & ((before.weight != today.weight) | (had != has))
        for ends in (a, b):
            moved[ends[far]] = True
            touched[ends[other]] = True
        return Settled(before, today, had, has, fresh, moved, touched)

    def held_against(self, member: NDArray[np.int32]) -> Standing:
        """Find out which rings have the members of one of before.

        Args:
            member: ``int32[A]``, ring of each account today or -1.

        Returns:
            The same with ``was``.
        """
        return replace(self, was=same_rings(self.member, member))

    def ordered(self, order: NDArray[np.int64]) -> Standing:
        """The same where rings of today have other numbers.

        Args:
            order: ``int64[R]``, which of them comes first, second …

        Returns:
            The same with ``was`` in that order.
        """
        return replace(self, was=self.was[order])

    @property
    def compared(self) -> NDArray[np.float64]:
        """``float64[R]``, how likely something honest explained the rings; NaN for others than before."""
        return self._row_by_row(self.carried.compared, np.nan)

    @property
    def odds(self) -> NDArray[np.float64]:
        """``float64[R]``, how far what members did spoke for coordination; NaN for others than before."""
        return self._row_by_row(self.carried.odds, np.nan)

    def _row_by_row(self, column: NDArray[Any], otherwise: Any) -> NDArray[Any]:
        found = np.full(len(self.was), otherwise, column.dtype)
        found[self.was >= 0] = column[self.was[self.was >= 0]]
        return found

    def untouched(
        self, member: NDArray[np.int32], settled: Settled, things: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Rings of which no member, no link and nothing that members share was touched.

        Args:
            member: ``int32[A]``, ring of each account or -1.
            settled: The links.
            things: ``uint64[R]``, prints of what members share.

        Returns:
            ``bool[R]``.
        """
        stands = self.was >= 0
        if not self.same_numbers:
            return np.zeros_like(stands)
        stands &= self._row_by_row(self.carried.things, 0) == things
        stands[np.unique(member[(member >= 0) & settled.touched])] = False
        # Whoever is in another group than before says something else of those that it is linked with.
        same = np.append(self.was, -1)[member]
        moved_house = same != self.member
        pairs = settled.today
        for one, other in ((pairs.a, pairs.b), (pairs.b, pairs.a)):
            stands[member[one[(member[one] >= 0) & moved_house[other]]]] = False
        return stands

    def still(self, ways: NDArray[np.uint64], q_value: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Rings of which what verdicts and the list of all rings say is as it was.

        Args:
            ways: ``uint64[R]``, prints of the ways to the nearest known bad account.
            q_value: ``float64[R]``.

        Returns:
            ``bool[R]``: the same way, as significant as before, and nobody had called it benign.
        """
        table = self.run.table
        before = self._row_by_row(table["q_value"].to_numpy(), np.nan)
        found = self._row_by_row((table["status"] == OPEN).to_numpy(), otherwise=False)
        found &= self._row_by_row(self.carried.nearest, 0) == ways
        return np.asarray(found & ((before < SIGNIFICANT) == (q_value < SIGNIFICANT)), np.bool_)

    def told(self, ring: int, q_value: float) -> tuple[str, float, bytes]:
        """What was told of a ring.

        Args:
            ring: Its number today.
            q_value: Its q-value in the list of today, which may be another.

        Returns:
            Its words, how likely something honest explains it, and its explanation.
        """
        row = int(self.was[ring])
        packed = self.run.explanations[row]
        if q_value != self.run.table["q_value"][row]:
            explained = unpack(packed)
            for piece in explained["evidence"]:
                if piece["type"] == "chance":
                    piece["q_value"] = q_value
            packed = pack(explained)
        return str(self.run.table["words"][row]), float(self.run.table["honest"][row]), packed

    def roles_of_before(self, members: pl.DataFrame, stands: NDArray[np.bool_]) -> pl.DataFrame:
        """Give the members of rings that stand the roles that they had.

        Args:
            members: One row a member, ring by ring.
            stands: ``bool[R]``.

        Returns:
            The same rows.
        """
        had = self.run.members.select("account", was="role", held="weight")
        there = (
            pl.Series(stands)[members["ring"].rle_id()] if len(members) else pl.Series([], dtype=pl.Boolean)
        )
        return (
            members.with_columns(there=there)
            .join(had, on="account", how="left", maintain_order="left")
            .with_columns(
                role=pl.when("there").then("was").otherwise("role"),
                weight=pl.when("there").then("held").otherwise("weight"),
            )
            .drop("there", "was", "held")
        )


def regrouped(
    links: Links, member: NDArray[np.int32], moved: NDArray[np.bool_], config: CommunityConfig, seed: int
) -> NDArray[np.int32]:
    """Group accounts anew where links moved; all others stay where they are.

    Taken up are groups with an end of such a link, such ends in no group, and accounts in no group that are
    linked with any of these.

    Args:
        links: The links.
        member: ``int32[A]``, group of each account so far or -1.
        moved: ``bool[A]``, ends of links that moved.
        config: How links become communities.
        seed: Of Leiden.

    Returns:
        ``int32[A]``: group of each account, numbered by their first account.
    """
    broken = np.zeros(int(member.max(initial=-1)) + 2, np.bool_)
    broken[member[moved]] = True
    broken[-1] = False
    region = moved | broken[member]
    free = member < 0
    beside = np.zeros(len(member), np.bool_)
    for one, other in ((links.a, links.b), (links.b, links.a)):
        beside[other[region[one] & free[other]]] = True
    region |= beside
    found = communities(links.take(region[links.a] & region[links.b]), len(member), config, seed)
    both = np.where(region, np.where(found >= 0, found + len(broken), -1), member)
    inside = both >= 0
    _, first, numbered = np.unique(both[inside], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    out = np.full(len(member), -1, np.int32)
    out[inside] = rank[numbered]
    return out


def same_rings(earlier: NDArray[np.int32], member: NDArray[np.int32]) -> NDArray[np.int64]:
    """Which ring of before each ring is, member by member.

    Args:
        earlier: ``int32[A]``, ring of each account before or -1.
        member: ``int32[A]``, ring of each account now or -1.

    Returns:
        ``int64[R]``: number of the ring of before with the same members, -1 if there is none.
    """
    n_rings = int(member.max(initial=-1)) + 1
    was = np.full(n_rings, -1, np.int64)
    inside = member >= 0
    was[member[inside]] = earlier[inside]
    size = np.bincount(member[inside], minlength=n_rings)
    together = np.bincount(member[inside & (earlier >= 0) & (earlier == was[member])], minlength=n_rings)
    size_before = np.bincount(earlier[earlier >= 0], minlength=1)
    whole = (was >= 0) & (together == size) & (size_before[np.maximum(was, 0)] == size)
    return np.where(whole, was, -1)


def told_numbers(member: NDArray[np.int32], told: NDArray[Any]) -> NDArray[np.int32]:
    """Membership in those rings alone that are told of, numbered in the same order.

    Args:
        member: ``int32[A]``, ring of each account or -1.
        told: ``int64[T]`` numbers of rings, ascending.

    Returns:
        ``int32[A]``, place in ``told`` or -1.
    """
    place = np.full(int(member.max(initial=-1)) + 2, -1, np.int32)
    place[told] = np.arange(len(told), dtype=np.int32)
    return place[member]
