"""Scores once through every part before the first request, so that nothing compiles while somebody waits."""

import time

import structlog

from graph_etl import NO_TIME
from scoring_service.accounts.service import AccountService
from scoring_service.loading import Loaded
from scoring_service.logs import places
from scoring_service.risk.reading import iso
from scoring_service.risk.schemas import RiskRequest
from scoring_service.risk.service import RiskService

_log = structlog.get_logger("scoring_service")
UNSEEN = "ringwatch:warm-up"


def warm_up(loaded: Loaded, risk: RiskService) -> float:
    """Score an account that nobody has seen and one that the graph knows.

    Args:
        loaded: What the service has loaded.
        risk: The service behind `POST /v1/risk`.

    Returns:
        How long it took, seconds.
    """
    started = time.perf_counter()
    end_ms = loaded.accounts.end_ms
    # A graph without times takes any time.
    at = iso(0 if end_ms == NO_TIME else min(end_ms, int(time.time() * 1000)))
    account_ids = [UNSEEN]
    if loaded.snapshot.n_accounts:
        account_ids.append(loaded.snapshot.account_ids[0])
    try:
        for account_id in account_ids:
            risk.assess(
                RiskRequest.model_validate(
                    {"event_type": "signup", "event_timestamp": at, "account": {"id": account_id}}
                )
            )
        if loaded.scorer is not None and loaded.snapshot.n_accounts:
            AccountService(loaded).describe(account_ids[-1])
    except Exception as error:
        # A part that fails here fails in each answer too, and each answer says so.
        _log.error("service.warm_up_failed", error=type(error).__name__, where=places(error))
    return time.perf_counter() - started
