"""The decisions of a policy on all accounts, for exports."""

import polars as pl

from gnn import Bundle
from graph_etl import Snapshot
from rings import RingsRun
from scoring_service.accounts.repository import AccountRepository
from scoring_service.loading import evidence_table, score_columns
from scoring_service.policy import Policy, decide_all, load_policy
from scoring_service.policy.schemas import DECISIONS, RISK_LEVELS
from scoring_service.rings.repository import RingRepository
from scoring_service.risk.moments import RETROSPECTIVE


def decisions(
    snapshot: Snapshot,
    bundle: Bundle,
    rings: RingsRun | None = None,
    *,
    policy: Policy | None = None,
    scores: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Decide on every account at the snapshot's end, as `GET /v1/accounts/{id}` would.

    Args:
        snapshot: The snapshot.
        bundle: A bundle with the scores of its accounts.
        rings: A rings run on the same snapshot; None if there is none.
        policy: The policy; the one that comes with the package when None.
        scores: Columns `account_id`, `score` and `percentile`; those that the bundle holds when None. A
            bundle that was trained on an earlier snapshot holds none for later accounts.

    Returns:
        One row an account in the snapshot's order: `account` (its id as stored), `score`, `percentile`
        (0 to 100), `decision`, `ring` (null without one), `risk_level`.
    """
    accounts = AccountRepository(snapshot)
    repository = None if rings is None else RingRepository(rings, snapshot.n_accounts)
    score, percentile = score_columns(snapshot, bundle.scores if scores is None else scores)
    levels, chosen = decide_all(
        load_policy() if policy is None else policy,
        RETROSPECTIVE,
        score=score,
        percentile=percentile,
        calibrated=bundle.calibrated,
        evidence=evidence_table(accounts, repository),
    )
    return pl.DataFrame(
        {
            "account": pl.Series(snapshot.account_ids.to_list(), dtype=pl.String),
            "score": score,
            "percentile": percentile,
            "decision": pl.Series([DECISIONS[index] for index in chosen], dtype=pl.String),
            "ring": pl.Series(
                [None] * snapshot.n_accounts if repository is None else repository.ring_ids(), dtype=pl.String
            ),
            "risk_level": pl.Series([RISK_LEVELS[index] for index in levels], dtype=pl.String),
        }
    ).with_columns(pl.col("score", "percentile").fill_nan(None))
