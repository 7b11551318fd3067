"""The decisions of a policy on all accounts, for exports."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features import known_bad_of
from gnn import Bundle
from graph_etl import Relation, Snapshot
from rings import RingsRun
from scoring_service.accounts.repository import MAX_USERS
from scoring_service.loading import score_columns
from scoring_service.policy import EvidenceTable, Policy, decide_all, load_policy
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
    repository = None if rings is None else RingRepository(rings, snapshot)
    score, percentile = score_columns(snapshot, bundle.scores if scores is None else scores)
    policy = load_policy() if policy is None else policy
    levels, chosen = decide_all(
        policy,
        RETROSPECTIVE,
        score=score,
        percentile=percentile,
        calibrated=bundle.calibrated,
        evidence=_evidence_table(snapshot, repository, policy),
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


def _evidence_table(snapshot: Snapshot, rings: RingRepository | None, policy: Policy) -> EvidenceTable:
    """Gather the evidence on all accounts at a snapshot's end, one row an account."""

    def of_ring(name: str, without: float) -> NDArray[np.float64]:
        return np.full(snapshot.n_accounts, without) if rings is None else rings.column(name, without)

    known_bad = known_bad_of(snapshot, untimed=True)
    never = np.iinfo(np.int64).max
    is_bad = (known_bad.since != never) & (known_bad.until == never)
    return EvidenceTable(
        confirmed_bad=is_bad,
        shared=_shared_with_bad(snapshot, is_bad),
        ring_size=of_ring("size", 0.0).astype(np.int64),
        ring_known_bad=of_ring("n_known_bad", 0.0).astype(np.int64),
        ring_score=of_ring("score", 0.0),
        ring_q_value=of_ring("q_value", 1.0),
        blocked=_blocked(snapshot, policy),
    )


def _identifier_relations(snapshot: Snapshot) -> dict[str, Relation]:
    return {
        relation.name.removeprefix("used:"): relation
        for relation in snapshot.relations
        if relation.used and all(snapshot.kinds[kind].identifier for kind in relation.to_kinds)
    }


def _shared_with_bad(
    snapshot: Snapshot, is_bad: NDArray[np.bool_]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """For each kind three columns: account, others that used the identifier, confirmed bad among them."""
    node_account = np.asarray(snapshot.node_account)
    is_hub = np.asarray(snapshot.hub_since) < snapshot.end_horizon
    table: dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = {}
    for kind, relation in _identifier_relations(snapshot).items():
        used_by = relation.pair_in
        count = np.diff(used_by.indptr)
        account = node_account[used_by.nbr].astype(np.int64)
        running = np.concatenate([[0], np.cumsum(is_bad[account])])
        bad = running[used_by.indptr[1:]] - running[used_by.indptr[:-1]]
        entity = np.repeat(np.arange(len(count)), count)
        bad_others = bad[entity] - is_bad[account]
        kept = (bad_others > 0) & ~is_hub[entity] & (count[entity] <= MAX_USERS)
        table[kind] = (account[kept], (count[entity] - 1)[kept], bad_others[kept])
    return table


def _blocked(snapshot: Snapshot, policy: Policy) -> NDArray[np.bool_]:
    blocked = np.zeros(snapshot.n_accounts, dtype=np.bool_)
    relations = _identifier_relations(snapshot)
    for kind, key in policy.blocked_keys:
        node = snapshot.node_index(kind, key)
        if node is not None and kind in relations:
            used_by = relations[kind].pair_in
            blocked[np.asarray(snapshot.node_account)[used_by.nbr[used_by.of(node)]]] = True
    return blocked
