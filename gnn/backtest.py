"""Backtesting: a model fitted on what was known at a cut, asked about what came after it.

A snapshot is written once more as it would have been at the cut. Nothing later is in it, so nothing later
can be learned from, whatever a stage of training reads. A second snapshot holds all rows again, with the
indices of the first one in front, as ``ringwatch build --append`` gives them: the graph that a service keeps
current below a model that it does not refit. Questions are asked of the second, each with its own horizon.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from gnn.scorer import Scorer
from gnn.train import train
from graph_etl import NO_HUB, NO_TIME, Snapshot
from graph_etl.errors import RingwatchError
from graph_etl.folds import time_folds
from graph_etl.snapshot_writer import RelationEdges, SnapshotTables, write_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from features import Queries
    from gnn.bundle import Bundle
    from graph_etl import Relation, Workspace

Labels = Literal["known", "matured"]

# What a manifest says of its own rows; the rest of it holds for a part of them too.
_OF_THE_ROWS: Final = ("id", "content_hash", "counts", "time_range_ms", "fold_policy", "files")
_NEVER: Final = np.iinfo(np.int64).max


class BacktestError(RingwatchError):
    """A snapshot or a question that cannot be put back in time."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """One graph at a cut and after it.

    Attributes:
        before: What a build at the cut would have given; its folds are blocks of time.
        after: All rows; accounts and nodes of ``before`` have the same indices here.
        account: ``int64[A]``, the index in ``after`` of each account of the snapshot that was cut.
        horizon: The first position after the cut.
    """

    before: Snapshot
    after: Snapshot
    account: NDArray[np.int64]
    horizon: int

    def asked(self, questions: Queries) -> Queries:
        """Questions to the snapshot that was cut, put to ``after``.

        Args:
            questions: ``Q`` questions without edges of their own.

        Returns:
            The same questions with the indices of ``after``.

        Raises:
            BacktestError: If a question looks back from before the cut, or brings edges of its own.
        """
        if len(questions.ext_node):
            message = "questions of a backtest bring no edges of their own; ask at positions of the snapshot"
            raise BacktestError(message)
        early = int((questions.horizon < self.horizon).sum())
        if early:
            message = (
                f"{early:,} of {len(questions):,} questions have a horizon before the cut at position "
                f"{self.horizon:,}; ask only of what came after it"
            )
            raise BacktestError(message)
        known = questions.account >= 0
        account = np.where(known, self.account[questions.account], -1)
        return replace(questions, account=account)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a model fitted at a cut said of questions after it.

    Attributes:
        score: ``float64[Q]`` in [0, 1].
        margin: ``float64[Q]``, log odds before calibration.
        bundle: The model.
        as_of: The two snapshots.
    """

    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    bundle: Bundle
    as_of: AsOf


def as_of(
    snapshot: Snapshot,
    workspace: Workspace,
    cut_ms: int,
    *,
    labels: Labels = "known",
) -> AsOf:
    """Cut a snapshot in time.

    Args:
        snapshot: A snapshot with times.
        workspace: Where the two snapshots go; neither becomes its current one. Take one of its own.
        cut_ms: Unix milliseconds. Rows known by then are before the cut.
        labels: ``known``: verdicts count from when they were known, as they would have on that day.
            ``matured``: all verdicts on accounts seen by the cut are given, as if each had been known when
            its account appeared, those on later accounts as with ``known``. That is how published comparisons
            split a table; a platform whose verdicts take time cannot have it.

    Returns:
        The two snapshots.

    Raises:
        BacktestError: If the snapshot has no times, or nothing is known by the cut.
    """
    if not snapshot.manifest["timed"]:
        message = f"snapshot {snapshot.id} has no times; a backtest needs a `time` in its spec"
        raise BacktestError(message)
    horizon = snapshot.horizon_at(cut_ms)
    parts = _InTwo(snapshot, horizon)
    if not parts.seen.any():
        message = f"no account of snapshot {snapshot.id} was seen by {cut_ms} ms; choose a later cut"
        raise BacktestError(message)
    verdicts = _matured(snapshot, parts.seen, cut_ms) if labels == "matured" else snapshot.verdicts
    by_then = pl.col("known_ms").is_null() | (pl.col("known_ms") <= cut_ms)
    name = hashlib.sha256(f"{snapshot.id} {cut_ms} {labels}".encode()).hexdigest()[:11]
    return AsOf(
        parts.write(workspace, f"s{name}a", horizon, verdicts.filter(by_then)),
        parts.write(workspace, f"s{name}b", snapshot.n_events, verdicts),
        parts.account.astype(np.int64),
        horizon,
    )


def _matured(snapshot: Snapshot, seen: NDArray[np.bool_], cut_ms: int) -> pl.DataFrame:
    """Verdicts, those on accounts that were seen as if known when the account appeared."""
    verdicts = snapshot.verdicts
    account = verdicts["account"].to_numpy()
    first_seen = pl.Series("first_seen", np.asarray(snapshot.first_seen_ms)[account])
    given = pl.Series("given", seen[account]) & (first_seen != NO_TIME)
    # An account that acted before it was listed appeared by the cut all the same.
    known = pl.when(given).then(pl.min_horizontal("known_ms", first_seen, cut_ms)).otherwise("known_ms")
    dated = pl.when(pl.col("known_ms").is_not_null()).then(known)
    return verdicts.with_columns(dated.alias("known_ms")).sort(
        "known_ms", nulls_last=False, maintain_order=True
    )


def backtest(
    snapshot: Snapshot,
    workspace: Workspace,
    cut_ms: int,
    questions: Queries,
    *,
    moment: str | None = None,
    labels: Labels = "known",
    seed: int = 0,
    without: Collection[str] = (),
    n_threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Backtest:
    """Fit a bundle on what was known at a cut and ask it about what came after.

    Args:
        snapshot: A snapshot with times.
        workspace: Where snapshots and bundle go; none becomes its current one.
        cut_ms: Unix milliseconds. Only rows and verdicts known by then are learned from.
        questions: ``Q`` questions to ``snapshot`` with horizons after the cut. What they see of the graph is
            what was known at their horizon, later than the cut too.
        moment: The head to ask; that of the main moment if None.
        labels: See `as_of`.
        seed: See `gnn.train`.
        without: See `gnn.train`.
        n_threads: See `gnn.train`.
        progress: See `gnn.train`.

    Returns:
        Scores in the order of the questions.

    Raises:
        BacktestError: If the snapshot or a question cannot be put back in time.
    """
    cut = as_of(snapshot, workspace, cut_ms, labels=labels)
    asked = cut.asked(questions)
    bundle = train(
        cut.before,
        workspace,
        seed=seed,
        without=without,
        n_threads=n_threads,
        publish=False,
        progress=progress,
    )
    found = Scorer(cut.after, bundle).score(asked, moment)
    return Backtest(found.score, found.margin, bundle, cut)


class _InTwo:
    """A snapshot's tables with everything that was seen by a horizon in front."""

    def __init__(self, snapshot: Snapshot, horizon: int) -> None:
        self._snapshot = snapshot
        account_node = np.asarray(snapshot.account_node)
        self._edges = [_edges_of(relation) for relation in snapshot.relations]
        # Where each node stands in its first row; listed accounts may have no edge at all.
        self._first_row = np.full(snapshot.n_nodes, _NEVER, np.int64)
        np.minimum.at(self._first_row, account_node, np.asarray(snapshot.first_pos))
        for edges in self._edges:
            np.minimum.at(self._first_row, edges.src, edges.pos)
            np.minimum.at(self._first_row, edges.dst, edges.pos)
        present = self._first_row < horizon
        self.seen = present[account_node]
        self._order = _front(present)
        self._accounts = _front(self.seen)
        self._n_before = int(present.sum()), int(self.seen.sum())
        self._node = _places(self._order)
        self.account = _places(self._accounts)
        self._before = horizon

    def write(self, workspace: Workspace, identity: str, horizon: int, verdicts: pl.DataFrame) -> Snapshot:
        """Write the rows below a horizon as a snapshot.

        Args:
            workspace: Where to.
            identity: Its id.
            horizon: The cut, or the end of all.
            verdicts: Those that it knows, with the accounts of the snapshot that is cut.

        Returns:
            The snapshot.
        """
        snapshot = self._snapshot
        whole = horizon > self._before
        nodes = self._order if whole else self._order[: self._n_before[0]]
        accounts = self._accounts if whole else self._accounts[: self._n_before[1]]
        account_node = np.asarray(snapshot.account_node)[accounts]
        times = np.asarray(snapshot.event_time_ms)[:horizon]
        first_pos = np.asarray(snapshot.first_pos)[accounts].copy()
        first_seen_ms = np.asarray(snapshot.first_seen_ms)[accounts].copy()
        attributes = np.array(snapshot.attribute_values[accounts], dtype=np.float64)
        # An account that others named before a source of accounts listed it: what the list says is not known.
        unlisted = np.flatnonzero((first_pos >= horizon) & (self._first_row[account_node] < horizon))
        first_pos[unlisted] = self._first_row[account_node[unlisted]]
        first_seen_ms[unlisted] = times[first_pos[unlisted]]
        attributes[unlisted] = np.nan
        names = snapshot.names_of_nodes()
        hub_since = np.asarray(snapshot.hub_since)[nodes]
        tables = SnapshotTables(
            name=snapshot.manifest["name"],
            kinds=snapshot.kinds,
            node_kind=np.asarray(snapshot.node_kind)[nodes],
            node_keys=snapshot.node_keys.take(nodes),
            account_node=self._node[account_node],
            first_seen_ms=first_seen_ms,
            last_seen_ms=self._last_seen_ms(horizon, times)[account_node],
            first_pos=first_pos,
            event_time_ms=times,
            event_known_ms=np.asarray(snapshot.event_known_ms)[:horizon],
            event_type=np.asarray(snapshot.event_type)[:horizon],
            event_types=snapshot.event_types,
            relations=[self._renumbered(edges, horizon) for edges in self._edges],
            node_names=names[nodes],
            attributes=snapshot.attributes,
            attribute_values=attributes,
            hub_since=np.where(hub_since < horizon, hub_since, NO_HUB),
            hubs=self._hubs(horizon, len(nodes)),
            verdicts=_moved(verdicts, "account", self.account, len(accounts)),
            cuts=self._cuts(horizon, len(accounts)),
            groups=_moved(snapshot.groups, "account", self.account, len(accounts)),
            folds=time_folds(first_seen_ms, names[account_node]),
            manifest={name: value for name, value in snapshot.manifest.items() if name not in _OF_THE_ROWS}
            | {"id": identity, "content_hash": identity, "fold_policy": "time"},
        )
        with workspace.new_folder("snapshot", identity) as folder:
            write_snapshot(folder, tables)
        return workspace.open_snapshot(identity)

    def _renumbered(self, edges: RelationEdges, horizon: int) -> RelationEdges:
        # Positions ascend, so the rows before a horizon are the first ones.
        stop = int(np.searchsorted(edges.pos, horizon))
        return replace(
            edges,
            src=self._node[edges.src[:stop]],
            dst=self._node[edges.dst[:stop]],
            pos=edges.pos[:stop],
            values=edges.values[:stop],
        )

    def _last_seen_ms(self, horizon: int, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """``int64[N]``, by the nodes of the snapshot that is cut."""
        latest = np.full(self._snapshot.n_nodes, NO_TIME, np.int64)
        account_node, first_pos = (
            np.asarray(self._snapshot.account_node),
            np.asarray(self._snapshot.first_pos),
        )
        listed = first_pos < horizon
        np.maximum.at(latest, account_node[listed], times[first_pos[listed]])
        for edges in self._edges:
            stop = int(np.searchsorted(edges.pos, horizon))
            for end in (edges.src, edges.dst):
                np.maximum.at(latest, end[:stop], times[edges.pos[:stop]])
        return latest

    def _hubs(self, horizon: int, n_nodes: int) -> pl.DataFrame:
        """Hubs by then, with the accounts that touched each by then."""
        hubs, touched = self._snapshot.hubs, self._snapshot.touched_by
        node = hubs["node"].to_numpy()
        starts, stops = np.asarray(touched.indptr)[node], np.asarray(touched.indptr)[node + 1]
        accounts = [
            int(np.searchsorted(touched.pos[start:stop], horizon))
            for start, stop in zip(starts, stops, strict=True)
        ]
        then = np.asarray(self._snapshot.hub_since)[node] < horizon
        found = hubs.with_columns(pl.Series("accounts", accounts, pl.Int64)).filter(pl.Series("then", then))
        return _moved(found, "node", self._node, n_nodes)

    def _cuts(self, horizon: int, n_accounts: int) -> pl.DataFrame:
        known = self._snapshot.cuts.filter(pl.col("known_pos") < horizon)
        for end in ("account", "other"):
            known = _moved(known, end, self.account, n_accounts)
        return known.with_columns(
            account=pl.min_horizontal("account", "other"),
            other=pl.max_horizontal("account", "other"),
            undone_pos=pl.when(pl.col("undone_pos") < horizon).then("undone_pos"),
        )


def _edges_of(relation: Relation) -> RelationEdges:
    """The edges that a relation was written from, in the order of their positions."""
    out = relation.out
    src = np.repeat(np.arange(len(out.indptr) - 1, dtype=np.int32), np.diff(out.indptr))
    dst, pos, values = np.asarray(out.nbr), np.asarray(out.pos), np.asarray(out.value)
    if not relation.directed:  # each stands there from both its ends
        once = src <= dst
        src, dst, pos, values = src[once], dst[once], pos[once], values[once]
    order = np.argsort(pos, kind="stable")
    return RelationEdges(
        relation.name,
        relation.used,
        relation.directed,
        relation.value,
        src[order],
        dst[order],
        pos[order],
        values[order],
    )


def _front(first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places with those that are marked in front, both in their order."""
    return np.concatenate([np.flatnonzero(first), np.flatnonzero(~first)])


def _places(order: NDArray[np.int64]) -> NDArray[np.int32]:
    """Where each place went."""
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return place


def _moved(table: pl.DataFrame, column: str, place: NDArray[np.int32], n_kept: int) -> pl.DataFrame:
    """A table with new indices in a column, without the rows whose index is not kept."""
    moved = table.with_columns(pl.Series(column, place[table[column].to_numpy()]))
    return moved.filter(pl.col(column) < n_kept)
