"""Forgets an account: in the journal and its answers, in the live graph, and in the builds to come."""

import asyncio
import time

from graph_etl import Hasher, Workspace, forget
from scoring_service.erasure.schemas import ErasureReceipt
from scoring_service.live import LiveState


async def forget_account(state: LiveState, account_id: str) -> ErasureReceipt:
    """Forget an account.

    Args:
        state: The state of the process.
        account_id: Its id, as the platform knows it; it need not be known here.

    Returns:
        What was done.

    Raises:
        NotAccepted: If the journal cannot be written.
    """
    loaded = state.loaded
    now_ms = int(time.time() * 1000)
    receipt = await state.erase(loaded.reader.account_key(account_id), account_id)
    spec = loaded.snapshot.spec
    hasher = Hasher.from_env(required=True) if spec.needs_key else None
    place = Workspace(state.settings.workspace)
    # What became known by any clock until now: events may tell times of their own.
    until_ms = max(now_ms, loaded.live.known_until_ms)
    forgotten = await asyncio.to_thread(forget, place, spec, [account_id], hasher, until_ms)
    return ErasureReceipt.of(receipt, forgotten)
