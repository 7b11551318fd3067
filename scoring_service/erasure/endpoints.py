"""The path that forgets an account."""

from fastapi import APIRouter

from scoring_service.access import ACCESS, needs
from scoring_service.accounts.endpoints import AccountID
from scoring_service.dependencies import State
from scoring_service.erasure.schemas import RECEIPT, ErasureReceipt
from scoring_service.erasure.service import forget_account
from scoring_service.errors import FollowerOnly, InvalidRequest, NotKept, NotReady, responses
from scoring_service.live import NotAccepted
from scoring_service.live.state import FOLLOWER

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], dependencies=[needs("admin")])


@router.delete(
    "/{account_id:path}",
    summary="Forget an account",
    responses={
        200: {"content": {"application/json": {"example": RECEIPT}}},
        **responses(InvalidRequest, NotReady, NotKept, FollowerOnly, *ACCESS),
    },
)
async def delete_account(account_id: AccountID, state: State) -> ErasureReceipt:
    """Erase what the journal holds of an account, and have the next build leave it out.

    Its rows keep their places and say nothing any more; a replay tells which they are. Within moments the
    live graph is read anew without them. What the account does afterwards is kept like anybody's.
    """
    try:
        return await forget_account(state, account_id)
    except NotAccepted as refusal:
        if refusal.problem is FOLLOWER:
            raise FollowerOnly from None
        raise NotKept(refusal.problem.message) from None
