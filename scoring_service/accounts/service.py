"""Describes accounts that the graph holds, and says why they score as they do."""

import math
from typing import Any

import numpy as np

import gnn
from features import Queries
from graph_etl import NO_TIME
from scoring_service.accounts.schemas import (
    AccountAnswer,
    AccountReasons,
    AccountRing,
    SharedIdentifier,
    Verdict,
)
from scoring_service.errors import AccountNotFound
from scoring_service.loading import Loaded
from scoring_service.policy import Decided, Evidence, RingTie, decide
from scoring_service.risk.moments import RETROSPECTIVE
from scoring_service.risk.reading import iso
from scoring_service.risk.service import reason_of

MAX_IDENTIFIERS = 100


class AccountService:
    """Answers questions about accounts at the snapshot's end.

    Args:
        loaded: What the service has loaded.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def describe(self, account_id: str) -> AccountAnswer:
        """Return what is known of an account.

        Args:
            account_id: Its id as the platform knows it.

        Returns:
            Its score, decision, ring, verdict and identifiers.

        Raises:
            AccountNotFound: If the graph does not hold it.
        """
        loaded = self._loaded
        account = self._find(account_id)
        score, percentile = loaded.scores_at_end(np.array([account]))[0]
        decided = self._decide(account, score, percentile)
        identifiers = self._identifiers(account)
        return AccountAnswer(
            id=account_id,
            score=score,
            percentile=percentile,
            calibrated=loaded.calibrated,
            risk_level=decided.level,
            decision=decided.decision,
            rule=decided.rule,
            policy=f"{loaded.policy.name} {loaded.policy.version}",
            ring=self._ring(account),
            verdict=self._verdict(account),
            first_seen=_iso_or_none(int(loaded.snapshot.first_seen_ms[account])),
            last_seen=_iso_or_none(int(loaded.snapshot.last_seen_ms[account])),
            attributes=self._attributes(account),
            identifiers=identifiers[:MAX_IDENTIFIERS],
            identifiers_total=len(identifiers),
            model_version=loaded.bundle_version,
            graph_as_of=loaded.graph_as_of,
            simulated=loaded.simulated,
        )

    def reasons(self, account_id: str, *, top: int, safe_only: bool) -> AccountReasons:
        """Return why an account scores as it does, from its whole history.

        Args:
            account_id: Its id as the platform knows it.
            top: At most so many reasons, the weightiest first.
            safe_only: Leave out what must not be shown to the account's owner.

        Returns:
            The reasons.

        Raises:
            AccountNotFound: If the graph does not hold it.
            ScoresUnavailable: If there is no bundle.
        """
        loaded = self._loaded
        account = self._find(account_id)
        scorer = loaded.require_scorer()
        queries = Queries.for_accounts(loaded.snapshot, np.array([account]), RETROSPECTIVE)
        result = scorer.score(queries, RETROSPECTIVE)
        found = [reason_of(reason) for reason in gnn.reasons(scorer, queries, result, row=0, top=top)]
        score, percentile = loaded.scores_at_end(np.array([account]))[0]
        return AccountReasons(
            id=account_id,
            score=score,
            percentile=percentile,
            reasons=[reason for reason in found if reason.safe_for_user or not safe_only],
            model_version=loaded.bundle_version,
            graph_as_of=loaded.graph_as_of,
            simulated=loaded.simulated,
        )

    def _find(self, account_id: str) -> int:
        loaded = self._loaded
        account = loaded.accounts.find(loaded.reader.account_key(account_id))
        if account is None:
            raise AccountNotFound(account_id[:64], loaded.graph_as_of)
        return account

    def _decide(self, account: int, score: float | None, percentile: float | None) -> Decided:
        loaded = self._loaded
        accounts, end = loaded.accounts, loaded.snapshot.end_horizon
        ring = None if loaded.rings is None else loaded.rings.membership(account)
        row = None if ring is None or loaded.rings is None else loaded.rings.row(ring.ring)
        evidence = Evidence(
            confirmed_bad=accounts.is_known_bad(account),
            shared=accounts.shared_with_bad(
                account, accounts.nodes_of(account, end), end, accounts.known_until_ms
            ),
            ring=None if row is None else RingTie.of_row(row, is_member=True),
        )
        return decide(
            loaded.policy,
            RETROSPECTIVE,
            score=score,
            percentile=percentile,
            calibrated=loaded.calibrated,
            evidence=evidence,
        )

    def _ring(self, account: int) -> AccountRing | None:
        rings = self._loaded.rings
        found = None if rings is None else rings.membership(account)
        row = None if rings is None or found is None else rings.row(found.ring)
        if found is None or row is None:
            return None
        return AccountRing(id=found.ring, rank=row["rank"], role=found.role or "member")

    def _verdict(self, account: int) -> Verdict | None:
        last = self._loaded.accounts.verdict(account)
        if last is None:
            return None
        return Verdict(
            label="bad" if last["label"] == 1 else "good",
            known_at=None if last["known_ms"] is None else iso(last["known_ms"]),
            reason=last["reason"],
        )

    def _identifiers(self, account: int) -> list[SharedIdentifier]:
        accounts, end = self._loaded.accounts, self._loaded.snapshot.end_horizon
        found = []
        for use in accounts.identifiers(account):
            bad = accounts.shared_with_bad(account, [(use.kind, use.node)], end, accounts.known_until_ms)
            found.append(
                SharedIdentifier(
                    kind=use.kind,
                    key=use.key,
                    accounts=use.accounts,
                    known_bad=None if use.is_hub else sum(shared.bad for shared in bad),
                    is_hub=use.is_hub,
                )
            )
        return found

    def _attributes(self, account: int) -> dict[str, Any]:
        snapshot = self._loaded.snapshot
        values = snapshot.attribute_values[account]
        shown: dict[str, Any] = {}
        for attribute, value in zip(snapshot.attributes, values, strict=True):
            if math.isnan(value):
                shown[attribute.name] = None
            elif attribute.type == "category":
                shown[attribute.name] = attribute.categories[int(value)]
            elif attribute.type == "flag":
                shown[attribute.name] = bool(value)
            else:
                shown[attribute.name] = float(value)
        return shown


def _iso_or_none(time_ms: int) -> str | None:
    return None if time_ms == NO_TIME else iso(time_ms)
