"""Holds the groups that people confirmed to be benign against the rings that a service answers with."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from rings.benign import Confirmed, Standing, matched, standing_of
from scoring_service.database.engine import Database
from scoring_service.database.errors import StoreUnavailable
from scoring_service.errors import FollowerOnly, NotKept
from scoring_service.live import LiveState
from scoring_service.loading import Loaded, one_line
from scoring_service.rings.registry import BenignRepository
from scoring_service.rings.repository import RingRepository

_log = structlog.get_logger("scoring_service")
_T = TypeVar("_T")


class BenignGroups:
    """The confirmed groups, as a service answers with them: read again whenever they have changed.

    Args:
        place: Where the store is: a path or a URL.
    """

    def __init__(self, place: str | Path) -> None:
        self._place = place
        self._database: Database | None = None
        self._version: tuple[int, int, int] | None = None
        self._groups: list[Confirmed] = []
        # Of one run and one version of the registry: groups by ring, with what standing is worked out from.
        self._of: tuple[RingRepository, tuple[int, int, int] | None] | None = None
        self._matched: dict[str, tuple[Confirmed, list[str], NDArray[np.int64], list[dict[str, Any]]]] = {}

    def close(self) -> None:
        """Let go of the store."""
        if self._database is not None:
            self._database.close()
            self._database = None

    async def standings(self, loaded: Loaded) -> dict[str, Standing]:
        """What became of the groups that people confirmed.

        While the store is away, what was read last counts.

        Args:
            loaded: The generation that answers.

        Returns:
            By ring id; rings that nobody called benign are left out.
        """
        await asyncio.to_thread(self._refresh)
        rings = loaded.require_rings()
        if self._of != (rings, self._version):
            self._matched = self._match(loaded, rings)
            self._of = rings, self._version
        return {
            ring: standing_of(group, names, self._bad(loaded, names, accounts), evidence)
            for ring, (group, names, accounts, evidence) in self._matched.items()
        }

    async def confirm(self, state: LiveState, group: Confirmed) -> None:
        """Keep that a group is benign.

        Args:
            state: The state of the process.
            group: The group.

        Raises:
            FollowerOnly: If another process writes.
            NotKept: If the store cannot keep it.
        """
        await self._write(state, lambda repository: repository.confirm(group))

    async def withdraw(self, state: LiveState, ring: str, members: Collection[str], source: str) -> None:
        """Take back that a ring is benign.

        Args:
            state: The state of the process.
            ring: Its id.
            members: Account ids of its members.
            source: Who takes it back.

        Raises:
            FollowerOnly: If another process writes.
            NotKept: If the store cannot keep it.
        """
        await self._write(state, lambda repository: repository.withdraw(ring, members, source))

    async def _write(self, state: LiveState, act: Callable[[BenignRepository], _T]) -> _T:
        if state.is_follower:
            raise FollowerOnly

        def write() -> _T:
            database = Database.open(self._place)
            try:
                return act(BenignRepository(database))
            finally:
                database.close()

        try:
            return await asyncio.to_thread(write)
        except StoreUnavailable as error:
            raise NotKept(one_line(error)) from None

    def _refresh(self) -> None:
        try:
            if self._database is None:
                self._database = Database.open(self._place, read_only=True)
            repository = BenignRepository(self._database)
            version = repository.version()
            if version != self._version:
                self._groups = repository.active()
                self._version = version
        except StoreUnavailable as error:
            _log.warning("benign_groups.stale", problem=error.problem)

    def _match(
        self, loaded: Loaded, rings: RingRepository
    ) -> dict[str, tuple[Confirmed, list[str], NDArray[np.int64], list[dict[str, Any]]]]:
        if not self._groups:
            return {}
        found = {}
        inside = rings.members_of_all()
        for ring, group in matched(self._groups, inside).items():
            names = inside[ring]
            places = [loaded.accounts.find(name) for name in names]
            accounts = np.array([-1 if place is None else place for place in places], np.int64)
            found[ring] = group, names, accounts, rings.explain(ring)["evidence"]
        return found

    @staticmethod
    def _bad(loaded: Loaded, names: list[str], accounts: NDArray[np.int64]) -> list[str]:
        there = np.flatnonzero(accounts >= 0)
        bad = there[loaded.accounts.known_bad(accounts[there])]
        return [names[at] for at in bad]
