"""Computes again what was answered, from the same snapshot, rows of the journal and bundle."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

import gnn
from features import LiveGraph
from graph_etl import JournalReader, JournalRow, LiveErasure, LiveEvent, LiveSwitch, Snapshot, Workspace
from graph_etl.errors import RingwatchError
from scoring_service.journal import Answered, Journal
from scoring_service.journal.retention import EXPIRED

_ROWS_AT_ONCE = 1000
# A replay holds whatever the journal holds.
_NO_BOUND = 2**62
# Snapshots open at once: a swap mixes answers from two.
_OPEN_SNAPSHOTS = 3


class ReplayError(RingwatchError):
    """The journal cannot be replayed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing in which an answer differs from what was recorded.

    Attributes:
        seq: Row of the journal.
        what: A feature's name, or ``score`` or ``margin``.
        recorded: The value then.
        replayed: The value now.
        after_erasure: Whether something that it saw was erased since: then it may differ.
    """

    seq: int
    what: str
    recorded: float | None
    replayed: float | None
    after_erasure: bool


@dataclass(slots=True)
class Replay:
    """What a replay found.

    Attributes:
        rows: Rows of the journal that were read.
        compared: Answers that were computed again.
        equal: Those that came out bit by bit as they were.
        differences: The first differences.
        different: How many there are in all, those after an erasure left out.
        different_after_erasure: How many came out otherwise because something they saw was erased.
        erased: Rows that were erased, by ``seq``.
        without_features: Answers whose features retention has dropped: only scores were compared.
        not_scored: Answers that no model gave.
        gone: Answers whose snapshot or bundle is gone.
        context: Events that were taken in without an answer.
    """

    rows: int = 0
    compared: int = 0
    equal: int = 0
    differences: list[Difference] = field(default_factory=list)
    different: int = 0
    different_after_erasure: int = 0
    erased: list[int] = field(default_factory=list)
    without_features: int = 0
    not_scored: int = 0
    gone: int = 0
    context: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs that nobody erased."""
        return self.different == 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What another bundle would have answered.

    Attributes:
        seq: ``int64[n]`` rows.
        recorded: ``float64[n]`` scores that were answered.
        tried: ``float64[n]`` scores of the other bundle, as of the same rows.
    """

    seq: NDArray[np.int64]
    recorded: NDArray[np.float64]
    tried: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Lost:
    """What the journal does not hold any more, and which answers had seen it.

    Attributes:
        altered: ``int64[n]``, rows that lost something: tombstones, and rows that named an erased account.
        expired: ``int64[m]``, those of them that retention emptied.
        settled_seq: From this row on answers come from a graph that was read without what was erased.
    """

    altered: NDArray[np.int64]
    expired: NDArray[np.int64]
    settled_seq: int

    @classmethod
    def of(cls, journal: Journal) -> "_Lost":
        """Read it from a journal."""
        altered = set(journal.altered())
        expired: list[int] = []
        settled_seq = 0
        for row in journal.rows() if altered else ():
            if isinstance(row.content, LiveErasure):
                if row.seq not in altered:
                    # The order to erase: the service says by a switch that it has read its graph anew.
                    settled_seq = _NO_BOUND
                elif row.content.account == EXPIRED:
                    expired.append(row.seq)
            elif isinstance(row.content, LiveSwitch) and settled_seq == _NO_BOUND:
                settled_seq = row.seq
        return cls(np.array(sorted(altered), np.int64), np.array(expired, np.int64), settled_seq)

    def was_seen_by(self, seq: int, after_seq: int, horizon: int) -> bool:
        """Whether an answer saw what is lost now.

        Args:
            seq: Its row.
            after_seq: The last row that its snapshot held.
            horizon: The last row that it saw.

        Returns:
            True if it did: then it may come out otherwise.
        """
        rows = self.altered if seq < self.settled_seq else self.expired
        first, stop = np.searchsorted(rows, [after_seq + 1, horizon + 1])
        return bool(first < stop)


class _Past:
    """Live graphs as they stood at rows of the journal, each moved forward as answers ask for it."""

    def __init__(self, workspace: Workspace, journal: JournalReader) -> None:
        self._workspace = workspace
        self._journal = journal
        self._graphs: dict[str, LiveGraph] = {}
        self._bundles: dict[str, gnn.Bundle] = {}
        self._scorers: dict[tuple[str, str], gnn.Scorer] = {}
        self._missing: set[tuple[str, str]] = set()

    def scorer_at(self, snapshot_id: str, version: str, horizon: int) -> gnn.Scorer | None:
        """Return what scored an answer, its graph as it stood then; None if snapshot or bundle is gone."""
        graph = self._graph(snapshot_id)
        bundle = self._bundle(version)
        if graph is None or bundle is None:
            return None
        if graph.last_seq > horizon:
            # An answer that was recorded after later ones had seen more: start again from the snapshot.
            self._forget(snapshot_id)
            return self.scorer_at(snapshot_id, version, horizon)
        while graph.last_seq < horizon:
            rows = list(self._journal.rows(graph.last_seq, min(_ROWS_AT_ONCE, horizon - graph.last_seq)))
            if not rows:
                message = (
                    f"the journal ends at row {self._journal.last_seq():,}, but an answer saw row "
                    f"{horizon:,}; restore the journal from its backup"
                )
                raise ReplayError(message)
            graph.apply_all(rows)
        key = (snapshot_id, version)
        if key not in self._scorers:
            self._scorers[key] = gnn.Scorer(graph, bundle)
        return self._scorers[key]

    def _graph(self, snapshot_id: str) -> LiveGraph | None:
        if snapshot_id not in self._graphs:
            snapshot = self._open_snapshot(snapshot_id)
            if snapshot is None:
                return None
            if len(self._graphs) >= _OPEN_SNAPSHOTS:
                self._forget(next(iter(self._graphs)))
            self._graphs[snapshot_id] = LiveGraph(snapshot, max_events=_NO_BOUND)
        return self._graphs[snapshot_id]

    def _open_snapshot(self, snapshot_id: str) -> Snapshot | None:
        if ("snapshot", snapshot_id) in self._missing:
            return None
        try:
            return self._workspace.open_snapshot(snapshot_id)
        except RingwatchError:
            self._missing.add(("snapshot", snapshot_id))
            return None

    def _bundle(self, version: str) -> gnn.Bundle | None:
        if version not in self._bundles and ("bundle", version) not in self._missing:
            try:
                self._bundles[version] = gnn.Bundle.open(self._workspace.path_of("bundle", version))
            except RingwatchError:
                self._missing.add(("bundle", version))
        return self._bundles.get(version)

    def _forget(self, snapshot_id: str) -> None:
        del self._graphs[snapshot_id]
        self._scorers = {key: one for key, one in self._scorers.items() if key[0] != snapshot_id}


def replay(
    workspace: Workspace,
    journal: Journal,
    *,
    after_seq: int = 0,
    until_seq: int | None = None,
    most_shown: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Compute answers again and compare features, margin and score bit by bit.

    Args:
        workspace: Holds the snapshots and bundles that answers were made from.
        journal: What was accepted and what was answered.
        after_seq: Only rows above it are compared.
        until_seq: Only rows up to it; to the last if None.
        most_shown: Differences to keep with their details.
        progress: Told the rows done and in all.

    Returns:
        What was found.

    Raises:
        ReplayError: If the journal lacks rows that an answer saw.
    """
    found = Replay()
    past = _Past(workspace, journal)
    last = min(journal.last_seq(), until_seq) if until_seq is not None else journal.last_seq()
    lost = _Lost.of(journal)
    for row, answered in journal.records(after_seq, last):
        found.rows += 1
        if progress is not None and found.rows % _ROWS_AT_ONCE == 0:
            progress(row.seq - after_seq, last - after_seq)
        if isinstance(row.content, LiveErasure):
            found.erased.append(row.seq)
        if not isinstance(row.content, LiveEvent):
            continue
        if answered is None:
            found.context += 1
        elif answered.bundle is None or answered.score is None or answered.margin is None:
            found.not_scored += 1
        else:
            _compare(found, past, row.content, row, answered, lost, most_shown)
    return found


def _compare(
    found: Replay,
    past: _Past,
    event: LiveEvent,
    row: JournalRow,
    answered: Answered,
    lost: _Lost,
    most_shown: int,
) -> None:
    assert answered.bundle is not None
    scorer = past.scorer_at(answered.snapshot, answered.bundle, answered.horizon)
    if scorer is None:
        found.gone += 1
        return
    result = scorer.score(_live(scorer).question(event), answered.moment)
    found.compared += 1
    if answered.features is None:
        found.without_features += 1
    difference = _first_difference(scorer, result, answered)
    if difference is None:
        found.equal += 1
        return
    after_erasure = lost.was_seen_by(row.seq, _live(scorer).snapshot.last_seq, answered.horizon)
    if after_erasure:
        found.different_after_erasure += 1
    else:
        found.different += 1
    if len(found.differences) < most_shown:
        found.differences.append(Difference(row.seq, *difference, after_erasure))


def _first_difference(
    scorer: gnn.Scorer, result: gnn.ScoreResult, answered: Answered
) -> tuple[str, float | None, float | None] | None:
    if answered.features is not None:
        recorded = np.frombuffer(answered.features, "<f4")
        replayed = result.features[0].astype("<f4")
        if len(recorded) != len(replayed):
            return "number of features", float(len(recorded)), float(len(replayed))
        # As bits: a NaN equals itself, and 0 is not -0.
        apart = np.flatnonzero(recorded.view(np.uint32) != replayed.view(np.uint32))
        if len(apart):
            at = int(apart[0])
            return scorer.specs[at].name, float(recorded[at]), float(replayed[at])
    for name, then, now in (
        ("margin", answered.margin, float(result.margin[0])),
        ("score", answered.score, float(result.score[0])),
    ):
        if then is not None and then != now:
            return name, then, now
    return None


def _live(scorer: gnn.Scorer) -> LiveGraph:
    assert isinstance(scorer.source, LiveGraph)
    return scorer.source


def try_bundle(
    workspace: Workspace,
    journal: Journal,
    version: str,
    *,
    after_seq: int = 0,
    until_seq: int | None = None,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """Score what was answered with another bundle, each event as of what was known then.

    Args:
        workspace: Holds snapshots and bundles.
        journal: What was accepted and what was answered.
        version: The bundle to try.
        after_seq: Only rows above it.
        until_seq: Only rows up to it; to the last if None.
        most: At most so many answers; all if None.
        progress: Told the rows done and in all.

    Returns:
        Scores then and with the other bundle.

    Raises:
        BundleError: If the bundle cannot score these snapshots, or has no head for a moment.
    """
    # Opened first, so that a bundle that is not there is told at once.
    gnn.Bundle.open(workspace.path_of("bundle", version))
    last = min(journal.last_seq(), until_seq) if until_seq is not None else journal.last_seq()
    past = _Past(workspace, journal)
    scored = list(islice(_tried(past, journal, version, after_seq, last, progress), most))
    return Trial(
        np.array([one[0] for one in scored], np.int64),
        np.array([one[1] for one in scored], np.float64),
        np.array([one[2] for one in scored], np.float64),
    )


def _tried(
    past: _Past,
    journal: Journal,
    version: str,
    after_seq: int,
    last: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, float, float]]:
    for number, (row, answered) in enumerate(journal.records(after_seq, last)):
        if progress is not None and number % _ROWS_AT_ONCE == 0:
            progress(row.seq - after_seq, last - after_seq)
        if not isinstance(row.content, LiveEvent) or answered is None or answered.score is None:
            continue
        scorer = past.scorer_at(answered.snapshot, version, answered.horizon)
        if scorer is not None:
            result = scorer.score(_live(scorer).question(row.content), answered.moment)
            yield row.seq, answered.score, float(result.score[0])
