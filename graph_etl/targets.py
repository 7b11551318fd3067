"""What there is to learn and to be judged by: verdicts, known groups, folds, splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl.folds import given_folds, ring_folds, stratified_folds, time_folds
from graph_etl.identity import row_names
from graph_etl.plan import FoldPlan, GroupPlan, SplitPlan, VerdictPlan
from graph_etl.quarantine import Notes
from graph_etl.snapshot import NO_TIME
from graph_etl.snapshot_writer import VERDICT_SCHEMA
from graph_etl.spec import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl.nodes import NamedNodes, NodeLayout
    from graph_etl.parts import Part
    from graph_etl.plan import Plan


@dataclass(frozen=True, slots=True)
class Targets:
    """What there is to learn.

    Attributes:
        verdicts: account, label, known_ms, reason, source, abuse_type, undoes; oldest first.
        groups: account, group, role, mapping.
        folds: ``int8[A]``.
        fold_policy: ``given``, ``rings``, ``time`` or ``stratified``.
        splits: ``int8[A, n_splits]`` or None.
        quarantine: Rows on accounts that the graph does not have.
        duplicates: ``int64[n_mappings]``, rows that were there already.
    """

    verdicts: pl.DataFrame
    groups: pl.DataFrame
    folds: NDArray[np.int8]
    fold_policy: str
    splits: NDArray[np.int8] | None
    quarantine: list[pl.DataFrame]
    duplicates: NDArray[np.int64]


class _Rows:
    """The rows of a kind of mapping over all parts, on accounts of the graph, each content once."""

    def __init__(
        self,
        plan: Plan,
        parts: Sequence[Part],
        named: NamedNodes,
        layout: NodeLayout,
        account: NDArray[np.int32],
    ) -> None:
        self._plan, self._parts, self._named = plan, parts, named
        self._layout, self._account = layout, np.append(account, np.int32(-1))
        self.quarantine: list[pl.DataFrame] = []
        self.duplicates = np.zeros(len(plan.mappings), np.int64)

    def of(self, kind: type) -> pl.DataFrame | None:
        tables = []
        for part_at, part in enumerate(self._parts):
            for ordinal, mapping in self._plan.of_source(part.source):
                rows = part.table(f"{mapping.name}.rows") if isinstance(mapping, kind) else None
                if rows is not None:
                    tables.append(self._known(rows, part_at, part, ordinal, mapping.name))
        if not tables:
            return None
        rows = pl.concat(tables, how="diagonal")
        content = [column for column in rows.columns if column not in ("row", "part")]
        first = rows.unique(content, keep="first", maintain_order=True)
        lost = (
            rows.group_by("mapping").len().join(first.group_by("mapping").len(), on="mapping", suffix="_kept")
        )
        for ordinal, before, after in lost.select("mapping", "len", "len_kept").iter_rows():
            self.duplicates[ordinal] += before - after
        return self._without_conflicts(first) if kind in (FoldPlan, SplitPlan) else first

    def _without_conflicts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """An account has one fold; rows that say otherwise later are left out."""
        again = ~rows["account"].is_first_distinct()
        places = rows.select("part", "mapping").filter(again).unique(maintain_order=True)
        for part_at, ordinal in places.iter_rows():
            part, mapping = self._parts[part_at], self._plan.mappings[ordinal]
            lost = rows.filter(again & (rows["part"] == part_at) & (rows["mapping"] == ordinal))
            notes = Notes(part.source, mapping.name, part.file)
            self.quarantine.append(notes.rows(lost["row"].to_numpy(), "fold_conflict"))
        return rows.filter(~again)

    def _known(
        self, rows: pl.DataFrame, part_at: int, part: Part, ordinal: int, mapping: str
    ) -> pl.DataFrame:
        node = self._layout.index[self._named.of_part[part_at][rows["account"].to_numpy()]]
        account = self._account[node]
        known = account >= 0
        notes = Notes(part.source, mapping, part.file)
        self.quarantine.append(notes.rows(rows["row"].to_numpy()[~known], "account_unknown"))
        rows = rows.with_columns(
            pl.Series("account", account),
            pl.lit(ordinal, dtype=pl.Int32).alias("mapping"),
            pl.lit(part_at, dtype=pl.Int32).alias("part"),
            pl.lit(self._delay(ordinal), dtype=pl.Int64).alias("delay_ms"),
        )
        return rows.filter(pl.Series(known))

    def _delay(self, ordinal: int) -> int | None:
        mapping = self._plan.mappings[ordinal]
        return mapping.delay_ms if isinstance(mapping, VerdictPlan) else None


def find_targets(
    plan: Plan,
    parts: Sequence[Part],
    named: NamedNodes,
    layout: NodeLayout,
    node_account: NDArray[np.int32],
    first_seen_ms: NDArray[np.int64],
    seed: int,
) -> Targets:
    """Collect verdicts, groups, folds and splits.

    Args:
        plan: The plan.
        parts: All parts.
        named: The named nodes.
        layout: The nodes of the graph.
        node_account: ``int32[N]``.
        first_seen_ms: ``int64[A]``.
        seed: Deals the folds.

    Returns:
        What there is to learn.
    """
    rows = _Rows(plan, parts, named, layout, node_account)
    verdicts = _verdicts(plan, rows.of(VerdictPlan), first_seen_ms)
    groups = _groups(plan, rows.of(GroupPlan))
    labels = np.full(len(first_seen_ms), -1, np.int8)
    last = verdicts.group_by("account", maintain_order=True).last()
    labels[last["account"].to_numpy()] = last["label"].to_numpy()
    account_names = layout.names[layout.account_node]
    names = row_names([np.full(len(account_names), seed), account_names], len(account_names))[:, 0]
    given = rows.of(FoldPlan)
    if given is not None:
        policy = "given"
        folds = given_folds(given["account"].to_numpy(), given["fold"].to_list(), labels, names)
    elif plan.timed and (first_seen_ms != NO_TIME).any():
        policy, folds = "time", time_folds(first_seen_ms, names)
    elif len(groups):
        policy = "rings"
        numbers = (groups["mapping"].cast(pl.String) + "\0" + groups["group"]).rank("dense").cast(pl.Int64)
        folds = ring_folds(labels, names, groups["account"].to_numpy(), numbers.to_numpy())
    else:
        policy, folds = "stratified", stratified_folds(labels, names)
    splits = _splits(rows.of(SplitPlan), len(first_seen_ms))
    return Targets(verdicts, groups, folds, policy, splits, rows.quarantine, rows.duplicates)


def _verdicts(plan: Plan, rows: pl.DataFrame | None, first_seen_ms: NDArray[np.int64]) -> pl.DataFrame:
    if rows is None:
        return pl.DataFrame(schema=VERDICT_SCHEMA)
    seen = pl.Series("seen", first_seen_ms[rows["account"].to_numpy()])
    seen = seen.set(seen == NO_TIME, None)
    known = pl.when("delayed").then(seen + pl.col("delay_ms")).otherwise(pl.col("known_ms"))
    told = rows.with_columns(known.alias("known_ms")).sort("known_ms", nulls_last=False, maintain_order=True)
    live = [at for at, mapping in enumerate(plan.mappings) if mapping.source == JOURNAL]
    told = told.with_columns(pl.col("mapping").is_in(live).alias("live"))
    told = _with_undone(told.with_columns((pl.col("live") & (pl.col("label") < 0)).alias("undoes")))
    empty = pl.DataFrame(schema=VERDICT_SCHEMA)
    return pl.concat([empty, told], how="diagonal_relaxed").select(
        pl.col(name).cast(kind) for name, kind in VERDICT_SCHEMA.items()
    )


def _with_undone(told: pl.DataFrame) -> pl.DataFrame:
    """Give each row that undoes the last live verdict the label that stands from then on, -1 for none."""
    undoing = told.filter("undoes")["account"].unique()
    if not len(undoing):
        return told
    told = told.with_row_index("at")
    labels: dict[int, int] = {}
    nothing_undone: list[int] = []
    standing: dict[int, list[tuple[bool, int]]] = {}
    rows = told.filter(pl.col("account").is_in(undoing.to_list()))
    for at, account, label, known_ms, live in rows.select(
        "at", "account", "label", "known_ms", "live"
    ).iter_rows():
        of_account = standing.setdefault(account, [])
        if label >= 0:
            # Nobody knows when a verdict without a time was known, so it cannot come to stand at a time.
            of_account += [] if known_ms is None else [(live, label)]
            continue
        last = next((place for place in reversed(range(len(of_account))) if of_account[place][0]), None)
        if last is None:
            nothing_undone.append(at)
            continue
        del of_account[last]
        labels[at] = of_account[-1][1] if of_account else -1
    replaced = pl.col("at").replace_strict(labels, default=pl.col("label"), return_dtype=pl.Int8)
    return told.with_columns(replaced.alias("label")).filter(~pl.col("at").is_in(nothing_undone))


def _groups(plan: Plan, rows: pl.DataFrame | None) -> pl.DataFrame:
    schema = {"account": pl.Int32, "group": pl.String, "role": pl.String, "mapping": pl.Int32}
    if rows is None:
        return pl.DataFrame(schema=schema)
    found = {at: mapping for at, mapping in enumerate(plan.mappings) if isinstance(mapping, GroupPlan)}
    role = {at: mapping.role for at, mapping in found.items()}
    ordinal = {at: mapping.ordinal for at, mapping in found.items()}
    return rows.select(
        "account",
        "group",
        pl.col("mapping").replace_strict(role, return_dtype=pl.String).alias("role"),
        pl.col("mapping").replace_strict(ordinal, return_dtype=pl.Int32),
    )


def _splits(rows: pl.DataFrame | None, n_accounts: int) -> NDArray[np.int8] | None:
    if rows is None:
        return None
    columns = [column for column in rows.columns if column.startswith("split_")]
    splits = np.full((n_accounts, len(columns)), -1, np.int8)
    splits[rows["account"].to_numpy()] = rows.select(columns).to_numpy()
    return splits
