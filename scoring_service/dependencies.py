"""What endpoints get handed: the loaded state and the services over it."""

from typing import Annotated

from fastapi import Depends, Request

from scoring_service.accounts.service import AccountService
from scoring_service.errors import NotReady
from scoring_service.loading import Loaded
from scoring_service.rings.service import RingService
from scoring_service.risk.service import RiskService


def _loaded(request: Request) -> Loaded:
    if not request.app.state.is_warm:
        raise NotReady
    loaded: Loaded = request.app.state.loaded
    return loaded


LoadedState = Annotated[Loaded, Depends(_loaded)]


def _accounts(loaded: LoadedState) -> AccountService:
    return AccountService(loaded)


def _rings(loaded: LoadedState) -> RingService:
    return RingService(loaded)


def risk_of(request: Request) -> RiskService:
    """Return the service behind `POST /v1/risk`, which lives as long as the process.

    Raises:
        NotReady: If the service still warms up.
    """
    if not request.app.state.is_warm:
        raise NotReady
    service: RiskService = request.app.state.risk
    return service


Accounts = Annotated[AccountService, Depends(_accounts)]
Rings = Annotated[RingService, Depends(_rings)]
