"""Paths of the accounts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from scoring_service.access import ACCESS, needs
from scoring_service.accounts.examples import ACCOUNT, REASONS
from scoring_service.accounts.schemas import AccountAnswer, AccountReasons
from scoring_service.dependencies import Accounts
from scoring_service.errors import AccountNotFound, InvalidRequest, NotReady, ScoresUnavailable, responses

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], dependencies=[needs("read")])

AccountID = Annotated[
    str, Path(min_length=1, max_length=256, description="As the platform knows the account.")
]


def _ok(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


@router.get(
    "/{account_id:path}/reasons",
    summary="Why an account scores as it does",
    responses={
        **_ok(REASONS),
        **responses(AccountNotFound, InvalidRequest, NotReady, ScoresUnavailable, *ACCESS),
    },
)
async def get_account_reasons(
    account_id: AccountID,
    accounts: Accounts,
    top: Annotated[int, Query(ge=1, le=50, description="At most so many reasons.")] = 5,
    audience: Annotated[
        Literal["analyst", "user"], Query(description="`user`: only what its owner may be shown.")
    ] = "analyst",
    counterfactuals: Annotated[
        bool,
        Query(description="Whether to compute the score without each piece of the evidence; not for `user`."),
    ] = True,
) -> AccountReasons:
    """Return the reasons for the score of the account's whole history, the weightiest first.

    Beside them stands what carries the score: shared nodes and linked accounts with the score without each.
    That takes a tenth of a second to some seconds; other requests are answered meanwhile.
    """
    return await accounts.reasons(
        account_id, top=top, safe_only=audience == "user", with_counterfactuals=counterfactuals
    )


@router.get(
    "/{account_id:path}",
    summary="What is known of an account",
    responses={**_ok(ACCOUNT), **responses(AccountNotFound, InvalidRequest, NotReady, *ACCESS)},
)
async def get_account(account_id: AccountID, accounts: Accounts) -> AccountAnswer:
    """Return an account's score, decision, ring, verdicts and identifiers as of this moment."""
    return accounts.describe(account_id)
