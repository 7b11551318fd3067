"""Rows that say what to learn: verdicts, groups, folds and splits, as staged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl.snapshot import NO_TIME
from graph_etl.spec import ANY_LABEL
from graph_etl.staged_events import Rejections, Staged, read_times
from graph_etl.staged_keys import trimmed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl.plan import FoldPlan, GroupPlan, SplitPlan, VerdictPlan
    from graph_etl.quarantine import Notes
    from graph_etl.staged_keys import KeyNamer


def _staged(
    rows: pl.DataFrame,
    account: NDArray[np.int32],
    speaks: NDArray[np.bool_],
    columns: dict[str, pl.Series | NDArray[np.int64]],
    rejections: Rejections,
    notes: Notes,
) -> Staged:
    row = rows["row"].cast(pl.Int64).to_numpy()
    kept = rejections.kept
    said = kept[speaks[kept]]
    table = pl.DataFrame({"row": row, "account": account} | columns)[said]
    return Staged({"rows": table}, [rejections.noted(notes, row)], silent=len(kept) - len(said))


def _accounts(rows: pl.DataFrame, column: str, namer: KeyNamer, rejections: Rejections) -> NDArray[np.int32]:
    named = namer.account(rows[column])
    rejections.add(named.missing, "account_missing")
    return named.node


def stage_verdicts(plan: VerdictPlan, rows: pl.DataFrame, namer: KeyNamer, notes: Notes) -> Staged:
    """Stage verdicts.

    Args:
        plan: The mapping.
        rows: The file's rows with ``row`` and the columns of the mapping.
        namer: Numbers the accounts.
        notes: Notes what is left out.

    Returns:
        Table ``rows``: row, account, label, known_ms (null: none), delayed (the delay runs from the account's
        first row), reason.
    """
    rejections = Rejections(len(rows))
    account = _accounts(rows, plan.account, namer, rejections)
    words = trimmed(rows[plan.label])
    bad, good = words.is_in(sorted(plan.bad)), words.is_in(sorted(plan.good))
    if ANY_LABEL in plan.bad:
        bad = words.is_not_null() & ~good.fill_null(False)
    elif ANY_LABEL in plan.good:
        good = words.is_not_null() & ~bad.fill_null(False)
    speaks = (bad | good).fill_null(False).to_numpy()
    known = np.full(len(rows), NO_TIME)
    told = plan.known_at or plan.delay_from
    if told is not None:
        silent = Rejections(len(rows))
        known = read_times(rows, told, silent, "known_at", required=plan.delay_from is not None)
        left_out = np.ones(len(rows), np.bool_)
        left_out[silent.kept] = False
        rejections.add(left_out & speaks, "known_at_unreadable")
        if plan.known_at is None and plan.delay_ms is not None:
            known = np.where(known == NO_TIME, NO_TIME, known + plan.delay_ms)
    known_ms = pl.Series("known_ms", known)
    delayed = told is None and plan.delay_ms is not None
    columns: dict[str, pl.Series | NDArray[np.int64]] = {
        "label": bad.fill_null(False).cast(pl.Int8),
        "known_ms": known_ms.set(known_ms == NO_TIME, None),
        "delayed": pl.Series("delayed", np.full(len(rows), delayed)),
        "reason": pl.Series("reason", [None] * len(rows), pl.String)
        if plan.reason is None
        else trimmed(rows[plan.reason]),
    }
    return _staged(rows, account, speaks, columns, rejections, notes)


def stage_groups(plan: GroupPlan, rows: pl.DataFrame, namer: KeyNamer, notes: Notes) -> Staged:
    """Stage known groups.

    Args:
        plan: The mapping.
        rows: The file's rows with ``row`` and the columns of the mapping.
        namer: Numbers the accounts.
        notes: Notes what is left out.

    Returns:
        Table ``rows``: row, account, group.
    """
    rejections = Rejections(len(rows))
    account = _accounts(rows, plan.account, namer, rejections)
    group = trimmed(rows[plan.group])
    return _staged(rows, account, group.is_not_null().to_numpy(), {"group": group}, rejections, notes)


def stage_folds(plan: FoldPlan, rows: pl.DataFrame, namer: KeyNamer, notes: Notes) -> Staged:
    """Stage a fold table.

    Args:
        plan: The mapping.
        rows: The file's rows with ``row`` and the columns of the mapping.
        namer: Numbers the accounts.
        notes: Notes what is left out.

    Returns:
        Table ``rows``: row, account, fold.
    """
    rejections = Rejections(len(rows))
    account = _accounts(rows, plan.account, namer, rejections)
    fold = trimmed(rows[plan.fold])
    return _staged(rows, account, fold.is_not_null().to_numpy(), {"fold": fold}, rejections, notes)


def stage_splits(plan: SplitPlan, rows: pl.DataFrame, namer: KeyNamer, notes: Notes) -> Staged:
    """Stage given splits.

    Args:
        plan: The mapping.
        rows: The file's rows with ``row`` and the columns of the mapping.
        namer: Numbers the accounts.
        notes: Notes what is left out.

    Returns:
        Table ``rows``: row, account and for each split its part: 0 train, 1 validation, 2 test, -1 none.
    """
    rejections = Rejections(len(rows))
    account = _accounts(rows, plan.account, namer, rejections)
    columns: dict[str, pl.Series | NDArray[np.int64]] = {}
    speaks = np.zeros(len(rows), np.bool_)
    for number, masks in enumerate(plan.masks):
        part = np.full(len(rows), -1, np.int64)
        for ordinal, mask in reversed(list(enumerate(masks))):
            if mask is not None:
                part[_true(rows[mask])] = ordinal
        columns[f"split_{number}"] = part
        speaks |= part >= 0
    return _staged(rows, account, speaks, columns, rejections, notes)


def _true(mask: pl.Series) -> NDArray[np.bool_]:
    texts = trimmed(mask.cast(pl.Int8) if mask.dtype == pl.Boolean else mask).str.to_lowercase()
    return texts.is_in(["1", "true", "t", "yes"]).fill_null(False).to_numpy()
