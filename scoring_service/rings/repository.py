"""Reads one rings run: the ranked table, who belongs where, and what proves it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rings import RingsRun
from scoring_service.rings.schemas import RingFilter


@dataclass(frozen=True, slots=True)
class Membership:
    """The ring of an account.

    Attributes:
        ring: Ring id.
        role: The account's role in it; None where only its identifiers lead there.
    """

    ring: str
    role: str | None


class RingRepository:
    """Reads one run.

    Args:
        run: The run.
        n_accounts: Accounts of the snapshot that the run was found on.
    """

    def __init__(self, run: RingsRun, n_accounts: int) -> None:
        self.run = run
        table = run.table.sort("rank")
        if "superseded" in table.columns and table.schema["superseded"] == pl.Boolean:
            table = table.filter(~pl.col("superseded"))
        self.table = table
        self.ids: list[str] = table["ring"].to_list()
        self._row = {ring: row for row, ring in enumerate(self.ids)}
        self._ring_of: NDArray[np.int32] = np.full(n_accounts, -1, dtype=np.int32)
        self._role_of: dict[int, str] = {}
        # The best-ranked ring wins where an account is in several.
        for ring, account, role in reversed(list(self._members_by_rank())):
            self._ring_of[account] = ring
            self._role_of[account] = role

    def _members_by_rank(self) -> Iterable[tuple[int, int, str]]:
        placed = self.run.members.select("ring", "account", "role").join(
            self.table.select("ring", "rank").with_row_index("row"), on="ring", how="inner"
        )
        return placed.sort("row").select("row", "account", "role").iter_rows()

    def row(self, ring_id: str) -> dict[str, Any] | None:
        """Return a ring's row of the ranked table, None if the run does not hold it."""
        at = self._row.get(ring_id)
        return None if at is None else self.table.row(at, named=True)

    def select(self, wanted: RingFilter, account: int | None, start: int) -> tuple[list[dict[str, Any]], int]:
        """List rings that pass the filters.

        Args:
            wanted: The filters.
            account: Index of the account that the rings must hold; None for any.
            start: How many of those that pass to leave out.

        Returns:
            At most `wanted.limit` rows, the best rank first, and how many rings pass in all.
        """
        kept = self.table.lazy()
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
        if account is not None:
            of_account = self.run.members.lazy().filter(pl.col("account") == account).select("ring").unique()
            kept = kept.join(of_account, on="ring", how="semi")
        found = kept.sort("rank").collect()
        return found.slice(start, wanted.limit).to_dicts(), found.height

    def membership(self, account: int) -> Membership | None:
        """Return the best-ranked ring of an account and its role there."""
        row = int(self._ring_of[account])
        return None if row < 0 else Membership(self.ids[row], self._role_of[account])

    def reached_by(self, users: Iterable[NDArray[np.int32]]) -> Membership | None:
        """Find the ring that an account's identifiers lead to.

        Args:
            users: For each identifier the other accounts that used it.

        Returns:
            The ring in which most of them are, each identifier counting once in all; None if there is none.
        """
        weight: dict[int, float] = {}
        for accounts in users:
            rows = self._ring_of[accounts]
            for row in rows[rows >= 0]:
                weight[int(row)] = weight.get(int(row), 0.0) + 1.0 / len(rows)
        if not weight:
            return None
        best = min(weight, key=lambda row: (-weight[row], row))
        return Membership(self.ids[best], None)

    def column(self, name: str, without: float) -> NDArray[np.float64]:
        """Give each account what the ranked table says of its ring.

        Args:
            name: Column of the table.
            without: For accounts in no ring, and where the table has no value.

        Returns:
            `float64[A]`.
        """
        of_ring = self.table[name].cast(pl.Float64).fill_null(without).fill_nan(without).to_numpy()
        return np.where(self._ring_of >= 0, np.append(of_ring, without)[self._ring_of], without)

    def ring_ids(self) -> list[str | None]:
        """Return the ring id of each account, None without a ring."""
        return [None if row < 0 else self.ids[row] for row in self._ring_of]

    def members(self, ring_id: str) -> list[dict[str, Any]]:
        """Return the members of a ring, the most firmly tied first."""
        found = self.run.members.filter(pl.col("ring") == ring_id)
        return found.sort(["weight", "account"], descending=[True, False]).to_dicts()

    def explain(self, ring_id: str) -> dict[str, Any]:
        """Return sentences, evidence, timeline and subgraph of a ring."""
        return dict(self.run.explain(ring_id))
