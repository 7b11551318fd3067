"""What one process holds: the generation that answers, the journal, and the one way in for what happens.

Everything here runs in the event loop, apart from what a worker thread prepares and nobody else has yet: a
live graph is never asked and changed by two threads.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import structlog

from graph_etl import JournalRow, JournalRowError, LiveErasure, LiveEvent, Workspace
from scoring_service.database import Database, StoreUnavailable, StoreVersion
from scoring_service.journal import (
    Entry,
    GroupCommit,
    Journal,
    JournalInUse,
    JournalUnavailable,
    Kept,
    Receipt,
)
from scoring_service.keys import KeyRing
from scoring_service.live.loading import check_length, load_generation, prepare
from scoring_service.loading import Loaded, Problem, load, one_line
from scoring_service.logs import places
from scoring_service.policy import Policy, files_of, load_policy
from scoring_service.risk.service import RiskService
from scoring_service.settings import ServiceSettings

_log = structlog.get_logger("scoring_service")
# Verdicts, cuts and switches still find room when no more events do.
_RESERVED_ROWS = 10_000
_FOLLOWED_AT_ONCE = 1000
_RETAIN_EVERY_S = 3600.0
# While another thread computes in Python, the loop gets its turn after this long instead of 5 ms.
_SWITCH_INTERVAL_S = 0.0005


class NotAccepted(Exception):
    """Something was not kept, and has therefore not happened.

    Attributes:
        problem: Why.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


FOLLOWER = Problem("follower", "this process follows the journal and keeps nothing")
_FULL = Problem(
    "overlay_full",
    "as many events as may be held in memory have come in since the snapshot; run `ringwatch refresh`",
)


class LiveState:
    """The state of one process.

    Args:
        settings: Settings of the process.

    Attributes:
        loaded: The generation that answers.
        generation: Its number, 1 for the first.
        risk: Scores events.
        journal: Where everything is kept; None while it cannot be opened.
        keys: Who may call; None until the store that holds them could be opened.
        journal_problem: What is wrong with the journal; None if nothing is.
        refused: A generation that could not be used, and why; None if the current one is in use.
        lag_ms: How long after it was kept the last row became visible here; None before the first.
        worst_lag_ms: The longest since the start.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.risk = RiskService(max_skew_ms=int(settings.max_clock_skew.total_seconds() * 1000))
        self.journal: Journal | None = None
        self.keys: KeyRing | None = None
        self._keys_store: Database | None = None
        self.journal_problem: Problem | None = None
        self.generation = 1
        self.generation_since_ms = int(time.time() * 1000)
        self.refused: tuple[dict[str, str | None], str] | None = None
        self.lag_ms: int | None = None
        self.worst_lag_ms = 0
        self._workspace = Workspace(settings.workspace)
        self._commits: GroupCommit | None = None
        self._pending = 0
        # Rows that were applied while another generation is being prepared, which it may not have seen.
        self._since: list[JournalRow] | None = None
        self._stuck = False
        # Something was erased that the live graph still holds.
        self._stale = False
        policy = load_policy(settings.policy)
        self._seen = self._signature(policy)
        self._open_journal()
        try:
            self.loaded: Loaded = load(self._workspace, policy, max_live_events=self._room())
            check_length(self.journal, self.loaded.snapshot)
        except BaseException:
            self.release()
            raise

    def _open_journal(self) -> None:
        settings = self.settings
        try:
            self.journal = Journal.open(
                settings.journal_place,
                commit=settings.commit,
                read_only=settings.follow,
                clock=settings.clock,
            )
            if self.keys is None:
                self._keys_store = Database.open(settings.journal_place, read_only=True)
                self.keys = KeyRing(self._keys_store)
        except (JournalInUse, StoreVersion):
            # Nothing that passes by itself.
            self.release()
            raise
        except StoreUnavailable as error:
            self._close_journal()
            if self.keys is None and self._keys_store is not None:
                self._keys_store.close()
            self.journal_problem = Problem("journal_unavailable", one_line(error))
            _log.error("journal.unavailable", message=str(error))

    def _close_journal(self) -> None:
        if self.journal is not None:
            self.journal.close()
        self.journal = None

    def _room(self) -> int:
        """Rows that a live graph must be able to hold: what the journal has already, and more."""
        rows = 0 if self.journal is None else self.journal.last_seq()
        return max(self.settings.max_live_events, rows) + _RESERVED_ROWS

    @property
    def is_follower(self) -> bool:
        """Whether another process writes the journal."""
        return self.settings.follow

    # The start and the end.

    async def start(self) -> float:
        """Get ready to answer: read what the journal has beyond the snapshot, score once through all parts.

        Returns:
            How long it took, seconds.
        """
        started = time.perf_counter()
        rows = await asyncio.to_thread(self._prepare)
        if self.journal is not None and not self.is_follower:
            self._commits = GroupCommit(self.journal, self._applied)
            await self._note_switch()
        duration_s = time.perf_counter() - started
        _log.info("live.replayed", rows=rows, seconds=round(duration_s, 2))
        return duration_s

    def _prepare(self) -> int:
        rows = 0
        try:
            rows = prepare(self.loaded, self.journal, self.risk)
        except JournalUnavailable as error:
            # Half a graph accepts nothing; the watch opens the journal and reads the graph anew.
            self._lose_journal(error)
            self._close_journal()
        # What was loaded stays: the collector need not look at it again, nor as often as it does by default.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 1000)
        return rows

    async def run(self) -> None:
        """Follow and swap generations until cancelled."""
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._retain())
            if self.is_follower:
                tasks.create_task(self._follow())

    async def close(self) -> None:
        """Let go of the journal once everything submitted is kept."""
        if self._commits is not None:
            await self._commits.close()
        self.release()
        gc.unfreeze()

    def release(self) -> None:
        """Let go of the store at once; another process may write then."""
        if self.keys is not None:
            self.keys.close()
        if self._keys_store is not None:
            self._keys_store.close()
        self.keys = self._keys_store = None
        self._close_journal()

    # The way in.

    async def keep(self, entry: Entry) -> Kept:
        """Keep something; when this returns, it is in the journal and every question sees it.

        Args:
            entry: What happened.

        Returns:
            Its position.

        Raises:
            NotAccepted: If it could not be kept; nothing has happened then.
            IdempotencyConflict: If its Idempotency-Key was used for another request.
        """
        return (await self.keep_all((entry,)))[0]

    async def keep_all(self, entries: Sequence[Entry]) -> list[Kept]:
        """Keep all of several things or none, as `keep` does.

        Args:
            entries: What happened, in order.

        Returns:
            The position of each.

        Raises:
            NotAccepted: If none could be kept; nothing has happened then.
            IdempotencyConflict: If their Idempotency-Key was used for another request.
        """
        problem = self._why_not(entries)
        if problem is not None or self._commits is None:
            raise NotAccepted(problem or FOLLOWER)
        self._pending += len(entries)
        try:
            kept = await self._commits.submit_all(entries)
        except JournalRowError as error:
            raise NotAccepted(Problem("journal_unavailable", one_line(error))) from None
        except JournalUnavailable as error:
            self._lose_journal(error)
            raise NotAccepted(Problem("journal_unavailable", one_line(error))) from None
        finally:
            self._pending -= len(entries)
        self.journal_problem = None
        return kept

    async def erase(self, account_key: str, account_id: str) -> Receipt:
        """Erase an account from the journal; the live graph is read anew without it within moments.

        Args:
            account_key: Its key, as the graph stores it.
            account_id: Its id: what recorded answers may name.

        Returns:
            What was done.

        Raises:
            NotAccepted: If the journal cannot be written; the same call goes on with what is left.
        """
        if self.is_follower:
            raise NotAccepted(FOLLOWER)
        journal, commits = self.journal, self._commits
        if journal is None or commits is None:
            raise NotAccepted(self.journal_problem or Problem("journal_unavailable", "it is not open yet"))
        try:
            receipt = await asyncio.to_thread(journal.erase, account_key, also_named=(account_id,))
        except JournalUnavailable as error:
            self._lose_journal(error)
            raise NotAccepted(Problem("journal_unavailable", one_line(error))) from None
        commits.catch_up()
        self._stale = True
        return receipt

    async def _retain(self) -> None:
        """Drop what is older than it may be, once an hour."""
        rules = self.settings.retention
        while True:
            journal = self.journal
            if rules and journal is not None and not self.is_follower:
                held_seq = self.loaded.snapshot.last_seq
                now_ms = int(time.time() * 1000)
                try:
                    dropped = await asyncio.to_thread(journal.retain, rules, now_ms, held_seq)
                    _log.info("journal.retained", **asdict(dropped))
                except JournalUnavailable as error:
                    self._lose_journal(error)
            await asyncio.sleep(_RETAIN_EVERY_S)

    def _why_not(self, entries: Sequence[Entry]) -> Problem | None:
        if self.is_follower:
            return FOLLOWER
        if self._commits is None:
            return self.journal_problem or Problem("journal_unavailable", "the journal is not open yet")
        if self._stuck:
            return Problem("journal_unavailable", "the live graph is being loaded anew")
        live = self.loaded.live
        rows = live.n_new_events + self._pending + len(entries)
        brings_events = any(isinstance(entry.content, LiveEvent) for entry in entries)
        limit = self.settings.max_live_events if brings_events else live.max_events
        return _FULL if rows > min(limit, live.max_events) else None

    def _lose_journal(self, error: Exception) -> None:
        if self.journal_problem is None:
            _log.error("journal.unavailable", message=one_line(error))
        self.journal_problem = Problem("journal_unavailable", one_line(error))

    def _applied(self, rows: Iterable[JournalRow]) -> None:
        """Make rows visible; called by the journal's commits in the loop, in order."""
        try:
            for row in rows:
                if self._since is not None:
                    self._since.append(row)
                # A generation that has just taken over may have read the row from the journal already.
                if not self._stuck and row.seq > self.loaded.live.last_seq:
                    self.loaded.apply(row)
        except Exception as error:
            # What is kept is kept: the graph is read anew, and accepts nothing until it is whole again.
            _log.error("live.apply_failed", error=type(error).__name__, where=places(error))
            self._stuck = True

    async def _note_switch(self) -> None:
        """Say in the journal what answers are made from, if that is not what it says already."""
        switch = self.loaded.as_switch
        if self.is_follower or self._commits is None or self.loaded.last_switch == switch:
            return
        if self._stale:
            # After an erasure it says that answers come from a graph without what was erased.
            return
        try:
            await self.keep(Entry(switch))
        except NotAccepted as refusal:
            # Every answer names its own parts, so nothing is lost; the next look tries again.
            _log.warning("live.switch_not_noted", reason=refusal.problem.reason)

    # Swapping.

    def _signature(self, policy: Policy) -> tuple[tuple[int, int, int] | None, ...]:
        files = (self.settings.workspace / "current.json", *files_of(self.settings.policy, policy))
        return tuple(_stamp(path) for path in files)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.settings.watch_every.total_seconds())
            try:
                await self._look()
            except Exception as error:
                _log.error("live.watch_failed", error=type(error).__name__, where=places(error))

    async def _look(self) -> None:
        if self.journal is None:
            await self._reopen_journal()
        await self._note_switch()
        seen = self._signature(self.loaded.policy)
        if seen == self._seen and not self._stuck and not self._stale:
            return
        policy, current = self.loaded.policy, self._workspace.current()
        try:
            policy = load_policy(self.settings.policy)
        except Exception as error:
            self._refuse(current, error)
        self._seen = seen
        if current == self.loaded.current and not self._stuck and not self._stale:
            if policy != self.loaded.policy:
                self.loaded = replace(self.loaded, policy=policy)
                _log.info("policy.changed", name=policy.name, version=policy.version)
            return
        await self._swap(current, policy)

    async def _swap(self, current: dict[str, str | None], policy: Policy) -> bool:
        started = time.perf_counter()
        self._since = []
        self._stale = False
        try:
            loaded = await asyncio.to_thread(self._prepare_next, current, policy)
            for row in self._since:
                if row.seq > loaded.live.last_seq:
                    loaded.apply(row)
        except Exception as error:
            self._refuse(current, error)
            return False
        finally:
            self._since = None
        old, self.loaded = [self.loaded], loaded
        self.generation += 1
        self.generation_since_ms = int(time.time() * 1000)
        self.refused = None
        self._stuck = False
        _log.info(
            "live.switched",
            generation=self.generation,
            **loaded.current,
            seconds=round(time.perf_counter() - started, 2),
        )
        await self._note_switch()
        # Unmapping a large snapshot takes time that no request should wait for.
        await asyncio.to_thread(old.clear)
        return True

    def _prepare_next(self, current: dict[str, str | None], policy: Policy) -> Loaded:
        loaded = load_generation(self._workspace, policy, current, self.journal, self._room, self.risk)
        gc.freeze()
        return loaded

    def _refuse(self, current: dict[str, str | None], error: Exception) -> None:
        self.refused = (current, one_line(error))
        _log.error("live.refused", **current, error=type(error).__name__, message=one_line(error))

    async def _reopen_journal(self) -> None:
        await asyncio.to_thread(self._open_journal)
        journal = self.journal
        if journal is None:
            return
        # The graph knows nothing of the journal yet: it is read anew with it.
        if not await self._swap(dict(self.loaded.current), self.loaded.policy):
            self._close_journal()
            return
        if not self.is_follower:
            self._commits = GroupCommit(journal, self._applied)
        self.journal_problem = None
        _log.info("journal.opened", last_seq=self.loaded.live.last_seq)

    # Following.

    async def _follow(self) -> None:
        """Apply what another process writes."""
        every_s = self.settings.follow_every.total_seconds()
        while True:
            rows: list[JournalRow] = []
            if self.journal is not None:
                rows = await asyncio.to_thread(self._next_rows, self.journal)
            self._apply_followed(rows)
            if len(rows) < _FOLLOWED_AT_ONCE:
                await asyncio.sleep(every_s)

    def _next_rows(self, journal: Journal) -> list[JournalRow]:
        try:
            rows = list(journal.rows(self.loaded.live.last_seq, _FOLLOWED_AT_ONCE))
        except JournalUnavailable as error:
            self._lose_journal(error)
            return []
        self.journal_problem = None
        return rows

    def _apply_followed(self, rows: list[JournalRow]) -> None:
        # A swap may have been faster.
        due = [row for row in rows if row.seq > self.loaded.live.last_seq]
        if not due:
            return
        self._applied(due)
        # What was erased is still in the live graph here, which is read anew without it.
        self._stale |= any(isinstance(row.content, LiveErasure) for row in due)
        if self.settings.clock == "events":
            # Rows then tell the time of their traffic, which is not that of this machine.
            return
        now_ms = int(time.time() * 1000)
        self.lag_ms = now_ms - due[-1].received_ms
        self.worst_lag_ms = max(self.worst_lag_ms, now_ms - due[0].received_ms)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
