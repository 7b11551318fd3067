"""Scores once through every part before the first request, so that nothing compiles while somebody waits."""

import time

import structlog

from graph_etl import NO_TIME, LiveEvent
from scoring_service.accounts.service import AccountService
from scoring_service.loading import Loaded, Shadow
from scoring_service.logs import places
from scoring_service.risk.reading import iso
from scoring_service.risk.schemas import RiskRequest
from scoring_service.risk.service import RiskService

_log = structlog.get_logger("scoring_service")
UNSEEN = "ringwatch:warm-up"


def warm_up(loaded: Loaded, risk: RiskService, *, whole: bool = False) -> float:
    """Score an account that nobody has seen and one that the graph knows.

    Args:
        loaded: The generation; nobody else may use it meanwhile.
        risk: Scores events.
        whole: Raise what fails instead of logging it.

    Returns:
        How long it took, seconds.

    Raises:
        Exception: If `whole`, whatever keeps one of the models from scoring.
    """
    started = time.perf_counter()
    # A graph without times takes any time.
    at = iso(0 if loaded.end_ms == NO_TIME else min(loaded.end_ms, int(time.time() * 1000)))
    account_ids = [UNSEEN]
    if loaded.snapshot.n_accounts:
        account_ids.append(loaded.snapshot.account_ids[0])
    try:
        if whole and loaded.scorer is not None and loaded.bundle is not None:
            unseen = loaded.live.question(LiveEvent("signup", UNSEEN, loaded.end_ms))
            for moment in loaded.bundle.moments:
                loaded.scorer.score(unseen, moment)
        for account_id in account_ids:
            event = {"event_type": "signup", "event_timestamp": at, "account": {"id": account_id}}
            request = RiskRequest.model_validate(event)
            risk.assess(loaded, request, with_reasons=True)
        if loaded.scorer is not None and loaded.snapshot.n_accounts:
            accounts = AccountService(loaded)
            accounts.describe(account_ids[-1])
            for _ in accounts.explain(0, top=1, with_counterfactuals=True):
                pass
    except Exception as error:
        if whole:
            raise
        # A part that fails here fails in each answer too, and each answer says so.
        _log.error("service.warm_up_failed", error=type(error).__name__, where=places(error))
    if loaded.shadow is not None:
        # What it learnt from the warm-up says nothing about traffic.
        loaded.shadow = Shadow(loaded.shadow.bundle, loaded.shadow.scorer, loaded.shadow.moments)
    return time.perf_counter() - started
