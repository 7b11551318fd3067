"""Keeps verdicts and "not linked", and takes them back; all of it counts in the next answer."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from graph_etl import NO_TIME, LiveCut, LiveVerdict
from scoring_service.errors import (
    AccountNotFound,
    CutNotFound,
    FollowerOnly,
    InvalidRequest,
    NotKept,
    VerdictNotFound,
)
from scoring_service.journal import Entry, IdempotencyUse
from scoring_service.labels.schemas import LabelRequest, NotLinkedRequest, Source
from scoring_service.live import LiveState, NotAccepted
from scoring_service.risk.reading import iso, read_time


class LabelService:
    """Takes what is said of accounts.

    Args:
        state: The state of the process.
        use: The use of an `Idempotency-Key` to keep with it.
    """

    def __init__(self, state: LiveState, use: IdempotencyUse | None = None) -> None:
        self._state = state
        self._use = use

    async def label(self, request: LabelRequest) -> dict[str, Any]:
        """Keep a verdict.

        Args:
            request: The verdict.

        Returns:
            It, with its position.

        Raises:
            AccountNotFound: If nobody has seen the account.
            TimestampInvalid: If `known_at` is no time, or lies ahead.
            NotKept: If the journal cannot keep it.
        """
        key, _ = self._find(request.account)
        now_ms = _now_ms()
        skew_ms = int(self._state.settings.max_clock_skew.total_seconds() * 1000)
        known_ms = (
            now_ms
            if request.known_at is None
            else read_time(request.known_at, now_ms=now_ms, skew_ms=skew_ms).ms
        )
        verdict = LiveVerdict(
            key,
            int(request.label == "bad"),
            known_ms,
            request.source,
            request.abuse_type,
            request.reason,
        )
        return await self._keep(verdict, partial(_label_answer, request.account, request.label, known_ms))

    async def undo_label(self, account_id: str, source: Source) -> dict[str, Any]:
        """Take the last verdict back that was given over the API.

        Args:
            account_id: The account, as the platform knows it.
            source: Who takes it back.

        Returns:
            The position from which on it no longer holds.

        Raises:
            AccountNotFound: If nobody has seen the account.
            VerdictNotFound: If there is none to take back.
            NotKept: If the journal cannot keep it.
        """
        key, account = self._find(account_id)
        standing = self._state.loaded.accounts.standing(account)
        if all(verdict.source is None for verdict in standing):
            raise VerdictNotFound(account_id[:64])
        now_ms = _now_ms()
        verdict = LiveVerdict(key, None, now_ms, source)
        return await self._keep(verdict, partial(_label_answer, account_id, None, now_ms))

    async def cut(self, request: NotLinkedRequest) -> dict[str, Any]:
        """Keep that two accounts are not linked.

        Args:
            request: The two.

        Returns:
            It, with its position.

        Raises:
            AccountNotFound: If nobody has seen one of them.
            InvalidRequest: If both are the same, or it has expired already.
            TimestampInvalid: If `expires_at` is no time.
            NotKept: If the journal cannot keep it.
        """
        key, account = self._find(request.account)
        other_key, other = self._find(request.other)
        if account == other:
            raise InvalidRequest([{"field": "other", "problem": "must be another account"}])
        until_ms = None
        if request.expires_at is not None:
            now_ms = _now_ms()
            # An expiry may lie as far ahead as it likes.
            until_ms = read_time(request.expires_at, now_ms=now_ms, skew_ms=2**62).ms
            if until_ms <= now_ms:
                raise InvalidRequest([{"field": "expires_at", "problem": "must lie ahead"}])
        cut = LiveCut(key, other_key, until_ms, reason=request.reason)
        return await self._keep(cut, partial(_cut_answer, request.account, request.other, True, until_ms))

    async def undo_cut(self, account_id: str, other_id: str) -> dict[str, Any]:
        """Take back that two accounts are not linked.

        Args:
            account_id: One of them, as the platform knows it.
            other_id: The other.

        Returns:
            The position from which on it no longer holds.

        Raises:
            AccountNotFound: If nobody has seen one of them.
            CutNotFound: If nobody called them not linked.
            NotKept: If the journal cannot keep it.
        """
        key, account = self._find(account_id)
        other_key, other = self._find(other_id)
        if not self._state.loaded.accounts.is_cut(account, other, NO_TIME):
            raise CutNotFound(account_id[:64], other_id[:64])
        cut = LiveCut(key, other_key, None, undone=True)
        return await self._keep(cut, partial(_cut_answer, account_id, other_id, False, None))

    def _find(self, account_id: str) -> tuple[str, int]:
        loaded = self._state.loaded
        key = loaded.reader.account_key(account_id)
        account = loaded.accounts.find(key)
        if account is None:
            raise AccountNotFound(account_id[:64], loaded.graph_as_of)
        return key, account

    async def _keep(
        self, content: LiveVerdict | LiveCut, answer: Callable[[int], dict[str, Any]]
    ) -> dict[str, Any]:
        use = self._use
        if use is not None:
            use = replace(use, answer=lambda kept: orjson.dumps(answer(kept[-1].seq)))
        try:
            kept = await self._state.keep(Entry(content, None, use))
        except NotAccepted as refusal:
            if refusal.problem.reason == "follower":
                raise FollowerOnly from None
            raise NotKept(refusal.problem.message) from None
        return answer(kept.seq)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _label_answer(account_id: str, label: str | None, known_ms: int, seq: int) -> dict[str, Any]:
    return {"account_id": account_id, "label": label, "known_at": iso(known_ms), "event_seq": seq}


def _cut_answer(
    account_id: str, other_id: str, not_linked: bool, until_ms: int | None, seq: int
) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "other_id": other_id,
        "not_linked": not_linked,
        "expires_at": None if until_ms is None else iso(until_ms),
        "event_seq": seq,
    }
