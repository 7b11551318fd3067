"""Describes accounts as the graph holds them at this moment, and says why they score as they do."""

import asyncio
import math
from collections.abc import Generator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import gnn
from gnn.counterfactual import counterfactual_steps
from graph_etl import NO_TIME
from scoring_service.accounts.repository import GivenVerdict, IdentifierUse
from scoring_service.accounts.schemas import (
    AccountAnswer,
    AccountReasons,
    AccountRing,
    Carriers,
    GivenLabel,
    SharedIdentifier,
    Verdict,
)
from scoring_service.errors import AccountNotFound
from scoring_service.loading import Loaded, plain
from scoring_service.policy import Decided, Evidence, RingTie, SharedUse, decide
from scoring_service.risk.moments import RETROSPECTIVE
from scoring_service.risk.reading import iso
from scoring_service.risk.service import reason_of

MAX_IDENTIFIERS = 100
MAX_LABELS = 50


class AccountService:
    """Answers questions about accounts.

    Args:
        loaded: The generation that answers.
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
        score, percentile = loaded.score_now(account)
        uses = loaded.accounts.identifiers(account)
        company = loaded.accounts.company(account, [(use.kind, use.node) for use in uses], loaded.end_ms)
        shared = loaded.accounts.shared_with_bad(company)
        ring = self._ring(account, [others for _, _, others in company])
        decided = self._decide(account, score, percentile, uses, shared, ring)
        verdicts = loaded.accounts.verdicts(account)
        bad = {use.node: use.bad for use in shared}
        return AccountAnswer(
            id=account_id,
            score=score,
            percentile=percentile,
            calibrated=loaded.calibrated,
            risk_level=decided.level,
            decision=decided.decision,
            rule=decided.rule,
            policy=f"{loaded.policy.name} {loaded.policy.version}",
            ring=None if ring is None else ring[0],
            verdict=_verdict(loaded.accounts.standing(account)),
            labels=[_label(verdict) for verdict in verdicts[-MAX_LABELS:]],
            first_seen=_iso_or_none(loaded.live.first_seen_ms(account)),
            last_seen=_iso_or_none(loaded.accounts.last_seen_ms(account)),
            attributes=self._attributes(account),
            identifiers=[
                SharedIdentifier(
                    kind=use.kind,
                    key=use.key,
                    accounts=use.accounts,
                    known_bad=None if use.is_hub else bad.get(use.node, 0),
                    is_hub=use.is_hub,
                )
                for use in uses[:MAX_IDENTIFIERS]
            ],
            identifiers_total=len(uses),
            model_version=loaded.bundle_version,
            graph_as_of=loaded.graph_as_of,
            simulated=loaded.simulated,
        )

    async def reasons(
        self, account_id: str, *, top: int, safe_only: bool, with_counterfactuals: bool = True
    ) -> AccountReasons:
        """Return why an account scores as it does, from its whole history.

        Args:
            account_id: Its id as the platform knows it.
            top: At most so many reasons, the weightiest first.
            safe_only: Leave out what must not be shown to the account's owner.
            with_counterfactuals: Compute the score without each piece of the evidence; not for its owner.

        Returns:
            The reasons, with what carries the score.

        Raises:
            AccountNotFound: If the graph does not hold it.
            ScoresUnavailable: If there is no bundle.
        """
        account = self._find(account_id)
        steps = self.explain(account, top=top, with_counterfactuals=with_counterfactuals and not safe_only)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                answer: AccountReasons = done.value
                break
            # Others are answered after each score.
            await asyncio.sleep(0)
        shown = [reason for reason in answer.reasons if reason.safe_for_user or not safe_only]
        return answer.model_copy(update={"id": account_id, "reasons": shown})

    def explain(
        self, account: int, *, top: int, with_counterfactuals: bool
    ) -> Generator[None, None, AccountReasons]:
        """Explain an account's score in steps of one score each.

        Args:
            account: Account index.
            top: At most so many reasons.
            with_counterfactuals: Compute the score without each piece of the evidence.

        Yields:
            Nothing, after each score.

        Returns:
            The reasons, with what carries the score.

        Raises:
            ScoresUnavailable: If there is no bundle.
        """
        loaded = self._loaded
        scorer = loaded.require_scorer()
        question = loaded.accounts.about(account, loaded.end_ms)
        result = scorer.score(question, loaded.moments.last)
        told = gnn.reasons(scorer, question, result, row=0, top=top)
        carriers = None
        if with_counterfactuals:
            below = loaded.policy.review_score(RETROSPECTIVE) if loaded.calibrated else None
            found = yield from counterfactual_steps(scorer, question, result, reasons=told, below=below)
            told, carriers = found.reasons, Carriers(**plain(found.as_dict()))
        return AccountReasons(
            id=loaded.live.account_id(account),
            score=float(result.score[0]),
            percentile=float(result.percentile[0]),
            reasons=[reason_of(reason) for reason in told],
            carriers=carriers,
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

    def _decide(
        self,
        account: int,
        score: float | None,
        percentile: float | None,
        uses: Sequence[IdentifierUse],
        shared: Sequence[SharedUse],
        ring: tuple[AccountRing, RingTie] | None,
    ) -> Decided:
        loaded = self._loaded
        blocked = loaded.policy.blocked_keys
        return decide(
            loaded.policy,
            RETROSPECTIVE,
            score=score,
            percentile=percentile,
            calibrated=loaded.calibrated,
            evidence=Evidence(
                confirmed_bad=loaded.accounts.is_known_bad(account),
                shared=shared,
                ring=None if ring is None else ring[1],
                blocked=bool(blocked) and any((use.kind, use.key) in blocked for use in uses),
            ),
        )

    def _ring(self, account: int, company: Sequence[NDArray[np.int64]]) -> tuple[AccountRing, RingTie] | None:
        loaded = self._loaded
        rings = loaded.rings
        if rings is None:
            return None
        found = rings.membership(account)
        if found is None and not rings.has_placed(account):
            # No rings run has seen it yet, so the company that it keeps stands in.
            found = rings.reached_by(company)
        row = None if found is None else rings.row(found.ring)
        if found is None or row is None:
            return None
        membership: Literal["member", "shares_identifier"] = (
            "shares_identifier" if found.role is None else "member"
        )
        shown = AccountRing(id=found.ring, rank=row["rank"], role=found.role, membership=membership)
        return shown, RingTie.of_row(row, is_member=found.role is not None, users=found.users)

    def _attributes(self, account: int) -> dict[str, Any]:
        live = self._loaded.live
        values = live.attribute_values(account)
        shown: dict[str, Any] = {}
        for attribute, value in zip(live.attributes, values, strict=True):
            if math.isnan(value):
                shown[attribute.name] = None
            elif attribute.type == "category":
                shown[attribute.name] = attribute.categories[int(value)]
            elif attribute.type == "flag":
                shown[attribute.name] = bool(value)
            else:
                shown[attribute.name] = float(value)
        return shown


def _verdict(standing: Sequence[GivenVerdict]) -> Verdict | None:
    """The verdict that holds: the last one that was not taken back."""
    if not standing:
        return None
    last = standing[-1]
    return Verdict(
        label="bad" if last.label == 1 else "good",
        known_at=None if last.known_ms is None else iso(last.known_ms),
        reason=last.reason,
    )


def _label(verdict: GivenVerdict) -> GivenLabel:
    label: Literal["bad", "good", "undone"] = "undone"
    if verdict.label is not None:
        label = "bad" if verdict.label == 1 else "good"
    return GivenLabel(
        label=label,
        known_at=None if verdict.known_ms is None else iso(verdict.known_ms),
        source=verdict.source,
        abuse_type=verdict.abuse_type,
        reason=verdict.reason,
    )


def _iso_or_none(time_ms: int) -> str | None:
    return None if time_ms == NO_TIME else iso(time_ms)
