"""What is not in the graph, and why: positions and reasons, never values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROW_REASONS = {
    "account_missing": "no account id in the row",
    "account_unreadable": "the account id could not be read",
    "account_unknown": "no source of accounts has it or, for verdicts and groups, no row of the graph",
    "amount_unreadable": "the amount or count is no number",
    "endpoint_missing": "one end of the interaction is empty",
    "endpoint_unreadable": "one end of the interaction could not be read as its kind",
    "erased": "its account asked to be forgotten",
    "event_id_conflict": "the same event id came earlier with other content",
    "fold_conflict": "an earlier row puts the account into another fold or part of the splits",
    "kind_unknown": "the spec names no such kind of counterparts",
    "known_at_unreadable": "the time at which the row became known could not be read",
    "line_unreadable": "the line could not be parsed",
    "time_missing": "no time in the row",
    "time_unreadable": "the time could not be read",
    "type_missing": "no type in the row",
    "type_unknown": "the spec names no such type of events or, for interactions, none with two ends",
}
"""Why a whole row is kept out of the graph."""

CELL_REASONS = {
    "identifier_unreadable": "it could not be read as its kind; the row is in the graph without it",
    "attribute_elsewhere": "only events that bring accounts in say what they are; the row is in without it",
    "attribute_unknown": "the spec names no such attribute; the row is in the graph without it",
    "identifier_unknown": "the spec names no identifiers of this kind; the row is in the graph without it",
    "attribute_unreadable": "the attribute is no number or flag; the row is in the graph without it",
}
"""Why one cell of a row that is in the graph was left out."""

SCHEMA = {
    "source": pl.String,
    "mapping": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "column": pl.String,
    "scope": pl.String,
    "reason": pl.String,
}


class TooManyQuarantined(RingwatchError):
    """More rows were quarantined than the build tolerates."""

    def __init__(
        self, quarantined: int, rows: int, limit: float, commonest: Sequence[tuple[str, str, int]]
    ) -> None:
        reasons = "; ".join(
            f"{mapping}: {ROW_REASONS.get(reason, reason)} ({count:,} rows)"
            for mapping, reason, count in commonest
        )
        super().__init__(
            f"{quarantined:,} of {rows:,} rows ({quarantined / rows:.1%}) cannot be used, more than"
            f" --max-quarantine {limit:g}: {reasons}. Correct the spec or the data, or raise --max-quarantine"
        )
        self.quarantined = quarantined
        self.rows = rows


@dataclass(slots=True)
class Notes:
    """Rows and cells of one table of one file that are left out."""

    source: str
    mapping: str
    file: str

    def rows(self, rows: NDArray[np.int64], reasons: Sequence[str] | str) -> pl.DataFrame:
        """Note whole rows.

        Args:
            rows: ``int64[n]`` row numbers.
            reasons: One for all or one for each.

        Returns:
            ``n`` rows of the quarantine.
        """
        return self._noted(rows, None, "row", reasons)

    def cells(self, rows: NDArray[np.int64], column: str, reason: str) -> pl.DataFrame:
        """Note single cells.

        Args:
            rows: ``int64[n]`` row numbers.
            column: Name of the column.
            reason: Why it was left out.

        Returns:
            ``n`` rows of the quarantine.
        """
        return self._noted(rows, column, "cell", reason)

    def _noted(
        self, rows: NDArray[np.int64], column: str | None, scope: str, reasons: Sequence[str] | str
    ) -> pl.DataFrame:
        return pl.DataFrame(
            {"row": pl.Series(rows, dtype=pl.Int64)}
            | ({} if isinstance(reasons, str) else {"reason": pl.Series(reasons, dtype=pl.String)})
        ).select(
            pl.lit(self.source).alias("source"),
            pl.lit(self.mapping).alias("mapping"),
            pl.lit(self.file).alias("file"),
            "row",
            pl.lit(column, dtype=pl.String).alias("column"),
            pl.lit(scope).alias("scope"),
            pl.lit(reasons).alias("reason") if isinstance(reasons, str) else pl.col("reason"),
        )


def gathered(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One quarantine from many.

    Args:
        tables: Quarantines of parts.

    Returns:
        All their rows, by source, file, row and mapping.
    """
    empty = pl.DataFrame(schema=SCHEMA)
    rows = pl.concat([empty, *tables]) if tables else empty
    return rows.sort(["source", "file", "row", "mapping", "scope", "column"], maintain_order=True)


def check_share(quarantine: pl.DataFrame, rows: int, limit: float) -> None:
    """Stop a build that loses too much.

    Args:
        quarantine: What is left out.
        rows: Rows read in all.
        limit: Largest share tolerated, 0 to 1.

    Raises:
        TooManyQuarantined: If the share is larger; names the three commonest reasons.
    """
    # Who asked to be forgotten is no fault of the data.
    lost = quarantine.filter((pl.col("scope") == "row") & (pl.col("reason") != "erased"))
    if rows == 0 or len(lost) <= limit * rows:
        return
    commonest = (
        lost.group_by("mapping", "source", "reason")
        .len()
        .sort(["len", "mapping", "reason"], descending=[True, False, False])
        .head(3)
    )
    named = [
        (f"{source} ({mapping})", reason, count)
        for mapping, source, reason, count in commonest.select(
            "mapping", "source", "reason", "len"
        ).iter_rows()
    ]
    raise TooManyQuarantined(len(lost), rows, limit, named)
