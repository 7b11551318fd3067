"""What endpoints get handed: the state of the process, the generation that answers, the services over it."""

from typing import Annotated

from fastapi import Depends, Request

from scoring_service.accounts.service import AccountService
from scoring_service.errors import NotReady
from scoring_service.live import LiveState
from scoring_service.loading import Loaded
from scoring_service.rings.service import RingService
from scoring_service.rings.standing import BenignGroups


def state_of(request: Request) -> LiveState:
    """Return the state of the process.

    Raises:
        NotReady: If the service still warms up.
    """
    if not request.app.state.is_warm:
        raise NotReady
    state: LiveState = request.app.state.live
    return state


def _loaded(request: Request) -> Loaded:
    return state_of(request).loaded


async def _accounts(request: Request) -> AccountService:
    return AccountService(_loaded(request))


async def _rings(request: Request) -> RingService:
    loaded = _loaded(request)
    return RingService(loaded, await _benign_groups(request).standings(loaded))


def _benign_groups(request: Request) -> BenignGroups:
    groups: BenignGroups = request.app.state.benign
    return groups


async def _benign(request: Request) -> BenignGroups:
    return _benign_groups(request)


async def _state(request: Request) -> LiveState:
    return state_of(request)


# All of them run in the event loop, where alone the live graph may be asked.
State = Annotated[LiveState, Depends(_state)]
Accounts = Annotated[AccountService, Depends(_accounts)]
Benign = Annotated[BenignGroups, Depends(_benign)]
Rings = Annotated[RingService, Depends(_rings)]
