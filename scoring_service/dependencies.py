"""What endpoints get handed: the state of the process, the generation that answers, the services over it."""

from typing import Annotated

from fastapi import Depends, Request

from scoring_service.accounts.service import AccountService
from scoring_service.errors import NotReady
from scoring_service.live import LiveState
from scoring_service.loading import Loaded
from scoring_service.rings.service import RingService


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
    return RingService(_loaded(request))


async def _state(request: Request) -> LiveState:
    return state_of(request)


# All of them run in the event loop, where alone the live graph may be asked.
State = Annotated[LiveState, Depends(_state)]
Accounts = Annotated[AccountService, Depends(_accounts)]
Rings = Annotated[RingService, Depends(_rings)]
