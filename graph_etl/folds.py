"""The fold table: which accounts are held out together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graph_etl.snapshot import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_FOLDS = 5


def _dealt(order: NDArray[np.int64], folds: NDArray[np.int8], start: int) -> int:
    folds[order] = (np.arange(len(order)) + start) % N_FOLDS
    return (start + len(order)) % N_FOLDS


def stratified_folds(labels: NDArray[np.int8], names: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Deal the accounts of each label in the order of their names.

    Args:
        labels: ``int8[A]``: 1 bad, 0 good, -1 unknown.
        names: ``uint64[A]``, stable names, so that the folds do not depend on the order of accounts.

    Returns:
        ``int8[A]``, sizes that differ by at most one, in each label too.
    """
    folds = np.zeros(len(labels), np.int8)
    start = 0
    for label in (1, 0, -1):
        members = np.flatnonzero(labels == label)
        start = _dealt(members[np.argsort(names[members], kind="stable")], folds, start)
    return folds


def time_folds(first_seen_ms: NDArray[np.int64], names: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Cut the accounts into blocks of equal size by when they were first seen.

    Args:
        first_seen_ms: ``int64[A]``; accounts without a time are dealt to all blocks.
        names: ``uint64[A]``, break ties.

    Returns:
        ``int8[A]``, 0 the oldest block.
    """
    folds = np.zeros(len(names), np.int8)
    timed = np.flatnonzero(first_seen_ms != NO_TIME)
    order = timed[np.lexsort((names[timed], first_seen_ms[timed]))]
    folds[order] = np.arange(len(order)) * N_FOLDS // max(1, len(order))
    rest = np.flatnonzero(first_seen_ms == NO_TIME)
    _dealt(rest[np.argsort(names[rest], kind="stable")], folds, 0)
    return folds


def _joined(n_accounts: int, accounts: NDArray[np.int32], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Union-find over groups that share accounts: the root account of each, -1 outside all groups."""
    root = np.full(n_accounts, -1, np.int64)

    def find(account: int) -> int:
        while root[account] != account:
            root[account] = root[root[account]]
            account = int(root[account])
        return account

    first: dict[int, int] = {}
    for account, group in zip(accounts.tolist(), groups.tolist(), strict=True):
        if root[account] < 0:
            root[account] = account
        one, other = find(first.setdefault(group, account)), find(account)
        root[max(one, other)] = min(one, other)
    for account in set(accounts.tolist()):
        root[account] = find(account)
    return root


def ring_folds(
    labels: NDArray[np.int8],
    names: NDArray[np.uint64],
    accounts: NDArray[np.int32],
    groups: NDArray[np.int64],
) -> NDArray[np.int8]:
    """Keep known groups whole: no fold ever holds out only a part of one.

    Args:
        labels: ``int8[A]``: 1 bad, 0 good, -1 unknown.
        names: ``uint64[A]``, stable names.
        accounts: ``int32[G]``, members of groups.
        groups: ``int64[G]``, their groups; groups that share an account are one.

    Returns:
        ``int8[A]``. Groups are placed largest first into the fold with the fewest grouped accounts, all
        other accounts are dealt by label.
    """
    folds = stratified_folds(labels, names)
    root = _joined(len(labels), accounts, groups)
    grouped = np.flatnonzero(root >= 0)
    roots, member_of, sizes = np.unique(root[grouped], return_inverse=True, return_counts=True)
    smallest = np.full(len(roots), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, member_of, names[grouped])
    fold_of = np.zeros(len(roots), np.int8)
    held = np.zeros(N_FOLDS, np.int64)
    for at in np.lexsort((smallest, -sizes)):
        fold_of[at] = int(np.argmin(held))
        held[fold_of[at]] += sizes[at]
    folds[grouped] = fold_of[member_of]
    single = np.flatnonzero(root < 0)
    folds[single] = stratified_folds(labels[single], names[single])
    return folds


def given_folds(
    accounts: NDArray[np.int32], values: list[str], labels: NDArray[np.int8], names: NDArray[np.uint64]
) -> NDArray[np.int8]:
    """Use a fold table that came with the data.

    Args:
        accounts: ``int32[G]``, the accounts it names.
        values: Their folds; whole numbers from 0 are kept, other names are numbered in their order.
        labels: ``int8[A]``.
        names: ``uint64[A]``.

    Returns:
        ``int8[A]``; accounts that the table does not name are dealt by label.
    """
    distinct = sorted(set(values))
    if all(value.isdecimal() for value in distinct) and max(map(int, distinct), default=0) <= 127:
        number = {value: int(value) for value in distinct}
    else:
        number = {value: at for at, value in enumerate(distinct)}
    n_folds = max(number.values(), default=N_FOLDS - 1) + 1
    folds = (stratified_folds(labels, names).astype(np.int64) % n_folds).astype(np.int8)
    folds[accounts] = [number[value] for value in values]
    return folds
