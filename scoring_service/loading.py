"""What the service holds in memory: snapshot, bundle, rings, policy; and what of these is missing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import polars as pl
import structlog
from numpy.typing import NDArray

import gnn
from features import Queries
from graph_etl import NO_TIME, Snapshot, Workspace
from graph_etl.identifiers import Hasher
from graph_etl.spec import Spec
from rings import RingsRun
from scoring_service.accounts.repository import AccountRepository
from scoring_service.errors import HashKeyMismatch, RingsUnavailable, ScoresUnavailable
from scoring_service.policy import Policy, load_policy
from scoring_service.rings.repository import RingRepository
from scoring_service.risk.moments import RETROSPECTIVE, Moments
from scoring_service.risk.reading import RequestReader, iso
from scoring_service.settings import ServiceSettings

_log = structlog.get_logger("scoring_service")
_T = TypeVar("_T")


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
class Loaded:
    """Everything that answers are made from.

    Attributes:
        snapshot: The graph.
        accounts: Reads accounts and who shares what.
        reader: Reads requests in the graph's terms.
        policy: Turns scores into decisions.
        moments: Tells which moment of an account's life an event falls into.
        bundle: The models; None if missing or broken.
        scorer: Scores with the models; None if missing or broken.
        rings: Reads the rings run; None if missing or broken.
        score: `float64[A]`, the bundle's score of each account, NaN where it has none.
        percentile: `float64[A]`, 0 to 100.
        problems: What is missing or broken, by part: `bundle`, `rings`.
    """

    snapshot: Snapshot
    accounts: AccountRepository
    reader: RequestReader
    policy: Policy
    moments: Moments
    bundle: gnn.Bundle | None
    scorer: gnn.Scorer | None
    rings: RingRepository | None
    score: NDArray[np.float64]
    percentile: NDArray[np.float64]
    problems: dict[str, Problem] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether the graph holds simulated data."""
        return bool(self.snapshot.manifest.get("simulated", False))

    @property
    def graph_as_of(self) -> str | None:
        """Until when the graph knows events, ISO 8601; None where nothing is timed."""
        end_ms = self.accounts.end_ms
        return None if end_ms == NO_TIME else iso(end_ms)

    @property
    def bundle_version(self) -> str | None:
        """Version of the bundle; None without one."""
        return None if self.bundle is None else str(self.bundle.version)

    @property
    def calibrated(self) -> bool:
        """Whether the bundle's scores are calibrated probabilities."""
        return self.bundle is not None and self.bundle.calibrated

    def last_score(self, account: int) -> tuple[float | None, float | None]:
        """Return the bundle's own score and percentile of an account, None where it has none."""
        score, percentile = float(self.score[account]), float(self.percentile[account])
        return (None if math.isnan(score) else score, None if math.isnan(percentile) else percentile)

    def scores_at_end(self, accounts: NDArray[np.integer[Any]]) -> list[tuple[float | None, float | None]]:
        """Return score and percentile of accounts at the snapshot's end.

        A bundle that was trained on an earlier snapshot holds neither the later accounts nor what happened
        since, so its models score anew.

        Args:
            accounts: `int[n]` account indices.

        Returns:
            `n` pairs; None where nothing can be scored.
        """
        if self.scorer is None or self.bundle is None or self.bundle.manifest["snapshot"] == self.snapshot.id:
            return [self.last_score(int(account)) for account in accounts]
        queries = Queries.for_accounts(self.snapshot, accounts, RETROSPECTIVE)
        result = self.scorer.score(queries, RETROSPECTIVE)
        return list(zip(result.score.tolist(), result.percentile.tolist(), strict=True))

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


def load(settings: ServiceSettings) -> Loaded:
    """Load what the workspace calls current.

    A missing snapshot, a wrong key or a broken policy end the start: no answer could be trusted. A missing or
    broken bundle or rings run do not: the service answers with fallbacks and says so.

    Args:
        settings: Settings of the process.

    Returns:
        What was loaded.

    Raises:
        RingwatchError: If there is no snapshot, the key does not fit it, or the policy is broken.
    """
    workspace = Workspace(settings.workspace)
    policy = load_policy(settings.policy)
    snapshot = workspace.open_snapshot()
    reader = RequestReader(snapshot, _spec(snapshot), _hasher(snapshot))
    current = workspace.current()
    problems: dict[str, Problem] = {}

    def attempt(part: str, code: str, open_part: Callable[[str], _T]) -> _T | None:
        chosen = current[part]
        if chosen is None:
            problems[part] = Problem(code, f"there is no {_NAMES[part]} yet")
            return None
        try:
            return open_part(chosen)
        except Exception as error:
            # Whatever is wrong with a file of ours, the answer must not depend on it.
            _log.error("load.failed", part=part, id=chosen, error=type(error).__name__, message=str(error))
            problems[part] = Problem(code, f"the {_NAMES[part]} {chosen} cannot be used: {_one_line(error)}")
            return None

    def open_bundle(version: str) -> tuple[gnn.Bundle, gnn.Scorer]:
        bundle = gnn.Bundle.open(workspace.path_of("bundle", version))
        return bundle, gnn.Scorer(snapshot, bundle)

    def open_rings(run_id: str) -> RingRepository:
        run = RingsRun.open(workspace.path_of("rings", run_id))
        found_on = run.manifest.get("snapshot", snapshot.id)
        if found_on != snapshot.id:
            message = f"it was found on snapshot {found_on}, the current one is {snapshot.id}"
            raise ValueError(message)
        return RingRepository(run, snapshot.n_accounts)

    opened = attempt("bundle", "bundle_unavailable", open_bundle)
    bundle, scorer = opened if opened is not None else (None, None)
    rings = attempt("rings", "rings_unavailable", open_rings)
    score, percentile = score_columns(snapshot, None if bundle is None else bundle.scores)
    accounts = AccountRepository(snapshot)
    known_moments = snapshot.manifest["moments"] if bundle is None else bundle.moments
    return Loaded(
        snapshot=snapshot,
        accounts=accounts,
        reader=reader,
        policy=policy,
        moments=Moments(snapshot, list(known_moments), accounts.end_ms),
        bundle=bundle,
        scorer=scorer,
        rings=rings,
        score=score,
        percentile=percentile,
        problems=problems,
    )


_NAMES = {"bundle": "bundle", "rings": "rings run"}


def _spec(snapshot: Snapshot) -> Spec:
    """Return the spec that a snapshot was built from; it stands in the manifest."""
    return Spec.model_validate(snapshot.manifest["spec"])


def _hasher(snapshot: Snapshot) -> Hasher:
    """Return the hash that fits a snapshot, or raise `HashKeyMismatch`."""
    expected = snapshot.manifest.get("key_fingerprint")
    # A snapshot of public kinds needs no key; a request may bring nothing that has to be hashed.
    hasher = Hasher.from_env(required=expected is not None)
    if expected is not None and hasher.fingerprint != expected:
        raise HashKeyMismatch(snapshot.id, hasher.fingerprint, str(expected))
    return hasher


def _one_line(error: Exception) -> str:
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
