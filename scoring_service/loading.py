"""One generation of what answers are made from: live graph, models, rings, policy; and what is missing."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import polars as pl
import structlog
from numpy.typing import NDArray

import gnn
from features import LiveGraph, last_time_ms, view_of
from graph_etl import (
    NO_TIME,
    JournalReader,
    JournalRow,
    LiveErasure,
    LiveEvent,
    LiveSwitch,
    Snapshot,
    Workspace,
)
from graph_etl.identifiers import Hasher
from graph_etl.spec import Spec
from rings import RingsRun
from scoring_service.accounts.repository import AccountRepository
from scoring_service.errors import HashKeyMismatch, RingsUnavailable, ScoresUnavailable
from scoring_service.logs import places
from scoring_service.policy import Policy
from scoring_service.rings.repository import RingRepository
from scoring_service.risk.moments import Moments
from scoring_service.risk.reading import RequestReader, iso, time_range

_log = structlog.get_logger("scoring_service")
_T = TypeVar("_T")
_PROGRESS_ROWS = 100_000
_PAGE_BYTES = 4096
NOTHING_BEFORE_MS = -(2**63)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing or broken.

    Attributes:
        reason: Stable code.
        message: One line for people.
    """

    reason: str
    message: str


@dataclass(slots=True)
class Shadow:
    """A bundle that is scored beside the one that answers, to compare the two.

    Attributes:
        bundle: The bundle.
        scorer: Scores with it.
        moments: Those that its models know.
        answers: Answers that both scored.
        errors: Answers at which the shadow failed.
        other_decisions: Answers on which it would have decided otherwise.
        sum_of_differences: Of the absolute differences of the two scores.
        greatest_difference: The greatest of them.
    """

    bundle: gnn.Bundle
    scorer: gnn.Scorer
    moments: Moments
    answers: int = 0
    errors: int = 0
    other_decisions: int = 0
    sum_of_differences: float = 0.0
    greatest_difference: float = 0.0


@dataclass(slots=True)
class Loaded:
    """One generation; another one replaces it as a whole.

    Attributes:
        current: The ids that the workspace called current.
        snapshot: The snapshot below the live graph.
        live: The graph: the snapshot and what has happened since.
        accounts: Reads accounts and who shares what.
        reader: Reads requests in the graph's terms.
        policy: Turns scores into decisions.
        moments: Tells which moment of an account's life an event falls into.
        bundle: The models; None if missing or broken.
        scorer: Scores with the models; None if missing or broken.
        shadow: Another bundle, scored and never answered; None without one.
        rings: Reads the rings run; None if missing or broken.
        score: `float64[A]`, the bundle's score of each account of the snapshot, NaN where it has none.
        percentile: `float64[A]`, 0 to 100.
        base_rate: Share of the snapshot's accounts that are confirmed bad.
        problems: What is missing or broken, by part: `bundle`, `rings`.
        start_ms: Time of the first event that the graph knows; None where nothing is timed.
        end_ms: Time of the last one; `NO_TIME` where nothing is timed.
        last_switch: The last row of the journal that said what answers are made from; None after an erasure.
    """

    current: dict[str, str | None]
    snapshot: Snapshot
    live: LiveGraph
    accounts: AccountRepository
    reader: RequestReader
    policy: Policy
    moments: Moments
    bundle: gnn.Bundle | None
    scorer: gnn.Scorer | None
    shadow: Shadow | None
    rings: RingRepository | None
    score: NDArray[np.float64]
    percentile: NDArray[np.float64]
    base_rate: float
    problems: dict[str, Problem] = field(default_factory=dict)
    start_ms: int | None = None
    end_ms: int = NO_TIME
    last_switch: LiveSwitch | None = None
    _as_of: tuple[int, str | None] = (NO_TIME, None)

    @property
    def simulated(self) -> bool:
        """Whether the graph holds simulated data."""
        return bool(self.snapshot.manifest.get("simulated", False))

    @property
    def graph_as_of(self) -> str | None:
        """Until when the graph knows events, ISO 8601; None where nothing is timed."""
        if self._as_of[0] != self.end_ms:
            self._as_of = self.end_ms, None if self.end_ms == NO_TIME else iso(self.end_ms)
        return self._as_of[1]

    @property
    def is_timed(self) -> bool:
        """Whether the snapshot's events have times."""
        return self.start_ms is not None

    @property
    def bundle_version(self) -> str | None:
        """Version of the bundle; None without one."""
        return None if self.bundle is None else str(self.bundle.version)

    @property
    def calibrated(self) -> bool:
        """Whether the bundle's scores are calibrated probabilities."""
        return self.bundle is not None and self.bundle.calibrated

    @property
    def as_switch(self) -> LiveSwitch:
        """This generation as the journal names it."""
        rings = None if self.rings is None else self.rings.run.id
        return LiveSwitch(self.snapshot.id, self.bundle_version, rings)

    def apply(self, row: JournalRow) -> None:
        """Make a row of the journal visible to every question from now on.

        Args:
            row: The row next due.

        Raises:
            LiveOrderError: If another row is due.
            LiveGraphFull: If no more rows may be applied.
        """
        self.live.apply(row)
        content = row.content
        self.accounts.saw(content)
        if isinstance(content, LiveEvent):
            if self.is_timed and content.time_ms > self.end_ms:
                self.end_ms = content.time_ms
        elif isinstance(content, LiveSwitch):
            self.last_switch = content
        elif isinstance(content, LiveErasure):
            # To be said anew once answers come from a graph that does not hold it.
            self.last_switch = None

    def last_score(self, account: int) -> tuple[float | None, float | None]:
        """Return the bundle's own score and percentile of an account, None where it has none."""
        if account >= len(self.score):
            return None, None
        score, percentile = float(self.score[account]), float(self.percentile[account])
        return (None if math.isnan(score) else score, None if math.isnan(percentile) else percentile)

    def score_now(self, account: int) -> tuple[float | None, float | None]:
        """Score an account's whole history as it stands at this moment.

        Args:
            account: Account index.

        Returns:
            Score and percentile; the last ones known where there are no models.
        """
        if self.scorer is None:
            return self.last_score(account)
        try:
            result = self.scorer.score(self.accounts.about(account, self.end_ms), self.moments.last)
        except Exception as error:
            _log.error("account.scoring_failed", error=type(error).__name__, where=places(error))
            return self.last_score(account)
        return float(result.score[0]), float(result.percentile[0])

    def require_rings(self) -> RingRepository:
        """Return the rings, or raise `RingsUnavailable` with the reason."""
        if self.rings is None:
            raise RingsUnavailable(self.problems["rings"].message)
        return self.rings

    def require_scorer(self) -> gnn.Scorer:
        """Return the scorer, or raise `ScoresUnavailable` with the reason."""
        if self.scorer is None:
            raise ScoresUnavailable(self.problems["bundle"].message)
        return self.scorer


def load(
    workspace: Workspace,
    policy: Policy,
    *,
    max_live_events: int,
    whole: bool = False,
    current: dict[str, str | None] | None = None,
) -> Loaded:
    """Load what the workspace calls current, as it stood when the snapshot was built.

    A missing snapshot or a wrong key end the start: no answer could be trusted. A missing or broken bundle or
    rings run do not: the service answers with fallbacks and says so. While another generation answers there
    is no hurry: `whole` then refuses one that is broken.

    Args:
        workspace: The workspace.
        policy: Turns scores into decisions.
        max_live_events: Events that the live graph may hold.
        whole: Raise whatever keeps a part that is named from opening.
        current: Ids to load; those that are current when None.

    Returns:
        What was loaded, without what the journal has beyond the snapshot.

    Raises:
        RingwatchError: If there is no snapshot, or the key does not fit it.
    """
    current = workspace.current() if current is None else current
    snapshot = workspace.open_snapshot(current["snapshot"])
    spec = Spec.model_validate(snapshot.manifest["spec"])
    reader = RequestReader(snapshot, spec, _hasher(snapshot))
    live = LiveGraph(snapshot, max_events=max_live_events)
    problems: dict[str, Problem] = {}

    def attempt(part: str, code: str, open_part: Callable[[str], _T]) -> _T | None:
        chosen = current.get(part)
        if chosen is None:
            problems[part] = Problem(code, f"there is no {_NAMES[part]} yet")
            return None
        try:
            return open_part(chosen)
        except Exception as error:
            if whole:
                raise
            # Whatever is wrong with a file of ours, the answer must not depend on it.
            _log.error("load.failed", part=part, id=chosen, error=type(error).__name__, message=str(error))
            problems[part] = Problem(code, f"the {_NAMES[part]} {chosen} cannot be used: {one_line(error)}")
            return None

    start_ms, _ = time_range(snapshot)
    end_ms = NO_TIME if start_ms is None else last_time_ms(snapshot)

    def moments_of(names: Sequence[str]) -> Moments:
        return Moments(snapshot, names, None if start_ms is None else end_ms)

    def open_shadow(version: str) -> Shadow:
        bundle = gnn.Bundle.open(workspace.path_of("bundle", version))
        return Shadow(bundle, gnn.Scorer(live, bundle), moments_of(bundle.moments))

    def open_scored_bundle(version: str) -> gnn.Bundle:
        bundle = gnn.Bundle.open(workspace.path_of("bundle", version))
        # Read now: a table that cannot be read is no bundle.
        _ = bundle.scores
        return bundle

    def open_rings(run_id: str) -> RingRepository:
        return RingRepository(RingsRun.open(workspace.path_of("rings", run_id)), snapshot)

    bundle = attempt("bundle", "bundle_unavailable", open_scored_bundle)
    scorer = None
    if bundle is not None:
        # Where its models cannot be used, the scores that it holds still can.
        chosen_bundle = bundle
        scorer = attempt("bundle", "bundle_unavailable", lambda _: gnn.Scorer(live, chosen_bundle))
    rings = attempt("rings", "rings_unavailable", open_rings)
    shadow = None if current.get("shadow") is None else attempt("shadow", "shadow", open_shadow)
    problems.pop("shadow", None)
    score, percentile = score_columns(snapshot, None if bundle is None else bundle.scores)
    known_moments = snapshot.manifest["moments"] if bundle is None else bundle.moments
    accounts = AccountRepository(live)
    return Loaded(
        current=dict(current),
        snapshot=snapshot,
        live=live,
        accounts=accounts,
        reader=reader,
        policy=policy,
        moments=moments_of(known_moments),
        bundle=bundle,
        scorer=scorer,
        shadow=shadow,
        rings=rings,
        score=score,
        percentile=percentile,
        base_rate=accounts.share_known_bad(),
        problems=problems,
        start_ms=start_ms,
        end_ms=end_ms,
    )


_NAMES = {"bundle": "bundle", "rings": "rings run", "shadow": "shadow bundle"}


def replay(loaded: Loaded, journal: JournalReader) -> int:
    """Apply what the journal has beyond what a generation has seen.

    Args:
        loaded: The generation; nobody else may use it meanwhile.
        journal: The journal.

    Returns:
        How many rows were applied.
    """
    started, total = time.perf_counter(), 0
    for row in journal.rows(loaded.live.last_seq):
        loaded.apply(row)
        total += 1
        if total % _PROGRESS_ROWS == 0:
            _log.info("live.replaying", rows=total, seconds=round(time.perf_counter() - started, 2))
    return total


def prefault(snapshot: Snapshot) -> int:
    """Read one value of each page of what scoring reads, so that no request waits for a page fault.

    Args:
        snapshot: The snapshot.

    Returns:
        Bytes that were touched.
    """
    arrays = [array for array in view_of(snapshot).keep if isinstance(array, np.ndarray)]
    arrays += [np.asarray(snapshot.node_kind), np.asarray(snapshot.attribute_values).reshape(-1)]
    total = 0
    for array in arrays:
        if array.size:
            array.reshape(-1)[:: max(1, _PAGE_BYTES // array.itemsize)].max()
            total += array.nbytes
    return total


def _hasher(snapshot: Snapshot) -> Hasher:
    """Return the hash that fits a snapshot, or raise `HashKeyMismatch`."""
    expected = snapshot.manifest.get("key_fingerprint")
    # A snapshot of public kinds needs no key; a request may bring nothing that has to be hashed.
    hasher = Hasher.from_env(required=expected is not None)
    if expected is not None and hasher.fingerprint != expected:
        raise HashKeyMismatch(snapshot.id, hasher.fingerprint, str(expected))
    return hasher


def one_line(error: BaseException) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def score_columns(
    snapshot: Snapshot, scores: pl.DataFrame | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Put a bundle's scores beside the accounts of a snapshot.

    Args:
        snapshot: The snapshot.
        scores: Columns `account_id`, `score` and `percentile`; None without a bundle.

    Returns:
        Score and percentile, `float64[A]` each, NaN for accounts that the bundle did not score.
    """
    score = np.full(snapshot.n_accounts, np.nan)
    percentile = np.full(snapshot.n_accounts, np.nan)
    if scores is not None and len(scores):
        placed = pl.DataFrame({"account_id": snapshot.account_ids.arrow}).join(
            scores.select("account_id", "score", "percentile"),
            on="account_id",
            how="left",
            maintain_order="left",
        )
        score[:] = placed["score"].cast(pl.Float64).fill_null(math.nan).to_numpy()
        percentile[:] = placed["percentile"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    return score, percentile


def plain(value: Any) -> Any:
    """Return `value` in types that JSON has: numpy scalars as numbers, what is not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
