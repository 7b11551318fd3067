"""Reads one rings run: the ranked table, who belongs where, and what proves it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features import LiveGraph
from graph_etl import Snapshot
from rings import RingsRun
from rings.benign import CHANGED, CONFIRMED, OPEN, Standing
from rings.honest import EXPLAINED
from scoring_service.rings.schemas import RingFilter


@dataclass(frozen=True, slots=True)
class Membership:
    """The ring of an account.

    Attributes:
        ring: Ring id.
        role: The account's role in it; None where only its identifiers lead there.
        users: Other accounts on the rarest identifier that leads there; 0 for a member.
    """

    ring: str
    role: str | None
    users: int = 0


class RingRepository:
    """Reads one run. Its accounts are found by their ids: the snapshot may be older or newer than the run.

    Args:
        run: The run.
        snapshot: The snapshot whose account indices are meant.
    """

    def __init__(self, run: RingsRun, snapshot: Snapshot) -> None:
        self.run = run
        table = run.table.sort("rank")
        if "superseded" in table.columns and table.schema["superseded"] == pl.Boolean:
            table = table.filter(~pl.col("superseded"))
        self.table = table
        self.ids: list[str] = table["ring"].to_list()
        self._row = {ring: row for row, ring in enumerate(self.ids)}
        self._is_of_snapshot = self.run.manifest.get("snapshot", snapshot.id) == snapshot.id
        self._read: dict[int, dict[str, Any]] = {}
        self._ring_of: NDArray[np.int32] = np.full(snapshot.n_accounts, -1, dtype=np.int32)
        self._role_of: dict[int, str] = {}
        # Members that the snapshot does not hold, by id: ring and role.
        self._unplaced: dict[str, tuple[int, str]] = {}
        self._later: dict[int, int] = {}
        # The best-ranked ring wins where an account is in several.
        for ring, account, account_id, role in reversed(list(self._members_by_rank(snapshot))):
            if account is None:
                self._unplaced[account_id] = (ring, role)
            else:
                self._ring_of[account] = ring
                self._role_of[account] = role

    def _members_by_rank(self, snapshot: Snapshot) -> Iterable[tuple[int, int | None, str, str]]:
        members = self.run.members.select("ring", "account", "account_id", "role")
        if not self._is_of_snapshot:
            here = pl.DataFrame({"account_id": snapshot.account_ids.arrow}).with_row_index("account")
            members = members.drop("account").join(here, on="account_id", how="left")
        placed = members.join(self.table.select("ring").with_row_index("row"), on="ring", how="inner")
        return placed.sort("row").select("row", "account", "account_id", "role").iter_rows()

    def place_new(self, live: LiveGraph) -> None:
        """Find members that came after the snapshot.

        Args:
            live: The graph, with all that happened since.
        """
        for account_id, (ring, role) in self._unplaced.items():
            account = live.account_index(account_id)
            if account is not None:
                self._later[account] = ring
                self._role_of[account] = role

    def _rows_of(self, accounts: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Row of the ring that each account is in, -1 without one."""
        known = accounts < len(self._ring_of)
        rows: NDArray[np.int32] = np.full(len(accounts), -1, np.int32)
        if known.all():
            rows[:] = self._ring_of[accounts]
            return rows
        rows[known] = self._ring_of[accounts[known]]
        if self._later:
            rows[~known] = [self._later.get(int(account), -1) for account in accounts[~known]]
        return rows

    def row(self, ring_id: str) -> dict[str, Any] | None:
        """Return a ring's row of the ranked table, None if the run does not hold it."""
        at = self._row.get(ring_id)
        if at is None:
            return None
        found = self._read.get(at)
        if found is None:
            found = self._read[at] = self.table.row(at, named=True)
        return found

    def select(
        self,
        wanted: RingFilter,
        account_key: str | None,
        after_rank: int,
        standings: Mapping[str, Standing],
    ) -> tuple[list[dict[str, Any]], int, bool]:
        """List rings that pass the filters.

        Args:
            wanted: The filters.
            account_key: The account that the rings must hold, as the graph stores its id; None for any.
            after_rank: Only rings that rank after it are sent.
            standings: What became of the groups that people confirmed to be benign, by ring id.

        Returns:
            At most `wanted.limit` rows, the best rank first; how many rings pass in all, of any rank; whether
            more follow.
        """
        kept = self.table.lazy()
        if wanted.status != "all":
            having = {
                status: [ring for ring, found in standings.items() if found.status == status]
                for status in (CONFIRMED, CHANGED)
            }
            ring = pl.col("ring")
            kept = kept.filter(
                ~ring.is_in(having[CONFIRMED]) if wanted.status == OPEN else ring.is_in(having[wanted.status])
            )
        if wanted.explained_benign is not None:
            explained = (
                pl.col("honest").fill_null(0.0) >= EXPLAINED
                if "honest" in self.table.columns
                else pl.lit(value=False)
            )
            kept = kept.filter(explained == wanted.explained_benign)
        if wanted.min_score is not None:
            kept = kept.filter(pl.col("score") >= wanted.min_score)
        if wanted.min_size is not None:
            kept = kept.filter(pl.col("size") >= wanted.min_size)
        if wanted.max_size is not None:
            kept = kept.filter(pl.col("size") <= wanted.max_size)
        if wanted.max_q_value is not None:
            kept = kept.filter(pl.col("q_value") <= wanted.max_q_value)
        if wanted.known_bad is not None:
            kept = kept.filter((pl.col("n_known_bad") > 0) == wanted.known_bad)
        if account_key is not None:
            is_member = pl.col("account_id") == account_key
            of_account = self.run.members.lazy().filter(is_member).select("ring").unique()
            kept = kept.join(of_account, on="ring", how="semi")
        found = kept.sort("rank").collect()
        rest = found.filter(pl.col("rank") > after_rank)
        return rest.head(wanted.limit).to_dicts(), found.height, rest.height > wanted.limit

    def membership(self, account: int) -> Membership | None:
        """Return the best-ranked ring of an account and its role there."""
        row = int(self._ring_of[account]) if account < len(self._ring_of) else self._later.get(account, -1)
        return None if row < 0 else Membership(self.ids[row], self._role_of[account])

    def has_placed(self, account: int) -> bool:
        """Whether the run saw the account, so that being in no ring says something."""
        return self._is_of_snapshot and account < len(self._ring_of)

    def reached_by(self, company: Iterable[NDArray[np.integer[Any]]]) -> Membership | None:
        """Find the ring that an account's identifiers lead to.

        Args:
            company: For each identifier the other accounts that used it.

        Returns:
            The ring in which most of them are, each identifier counting once in all; None if there is none.
        """
        weight: dict[int, float] = {}
        fewest: dict[int, int] = {}
        for accounts in company:
            if not len(accounts):
                continue
            rows = self._rows_of(accounts)
            for row in rows[rows >= 0].tolist():
                weight[row] = weight.get(row, 0.0) + 1.0 / len(rows)
                fewest[row] = min(len(rows), fewest.get(row, len(rows)))
        if not weight:
            return None
        best = min(weight, key=lambda row: (-weight[row], row))
        return Membership(self.ids[best], None, fewest[best])

    def column(self, name: str, without: float) -> NDArray[np.float64]:
        """Give each account what the ranked table says of its ring.

        Score and q-value of a group that people confirmed to be benign speak against nobody.

        Args:
            name: Column of the table.
            without: For accounts in no ring, and where the table has no value.

        Returns:
            `float64[A]`.
        """
        of_ring = self.table[name].cast(pl.Float64).fill_null(without).fill_nan(without).to_numpy()
        if name in {"score", "q_value"} and "status" in self.table.columns:
            of_ring = np.where((self.table["status"] == CONFIRMED).fill_null(value=False), without, of_ring)
        return np.where(self._ring_of >= 0, np.append(of_ring, without)[self._ring_of], without)

    def ring_ids(self) -> list[str | None]:
        """Return the ring id of each account, None without a ring."""
        return [None if row < 0 else self.ids[row] for row in self._ring_of]

    def members_of_all(self) -> dict[str, list[str]]:
        """Return the account ids of the members of every ring, by its id."""
        found = self.run.members.group_by("ring", maintain_order=True).agg("account_id")
        return dict(found.iter_rows())

    def members(self, ring_id: str) -> list[dict[str, Any]]:
        """Return the members of a ring, the most firmly tied first."""
        found = self.run.members.filter(pl.col("ring") == ring_id)
        return found.sort(["weight", "account"], descending=[True, False]).to_dicts()

    def explain(self, ring_id: str) -> dict[str, Any]:
        """Return sentences, evidence, timeline and subgraph of a ring."""
        return dict(self.run.explain(ring_id))
