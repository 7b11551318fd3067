"""The registry of groups that people confirmed to be benign, in the SQL store."""

import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection, func, insert, select, update

from rings.benign import Confirmed, kinds_of, matched
from scoring_service.database.engine import Database
from scoring_service.database.errors import StoreUnavailable
from scoring_service.database.tables import BENIGN_GROUPS

_C: Final = BENIGN_GROUPS.c
_REMEDY: Final = "Try again when the store answers; nothing was changed."


class BenignRepository:
    """Reads and writes confirmed groups.

    Args:
        database: The store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> tuple[int, int, int]:
        """What is another one as soon as a group was confirmed or taken back.

        Raises:
            StoreUnavailable: If the store cannot be read.
        """
        wanted = select(
            func.count(), func.coalesce(func.max(_C.number), 0), func.count(_C.withdrawn_ms)
        ).select_from(BENIGN_GROUPS)
        try:
            with self._database.connection() as connection:
                n_rows, last, withdrawn = connection.execute(wanted).one()
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return n_rows, last, withdrawn

    def active(self) -> list[Confirmed]:
        """The groups that were not taken back, the oldest first.

        Raises:
            StoreUnavailable: If the store cannot be read.
        """
        wanted = select(BENIGN_GROUPS).where(_C.withdrawn_ms.is_(None)).order_by(_C.number)
        try:
            with self._database.connection() as connection:
                rows = connection.execute(wanted).all()
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return [
            Confirmed(
                row.ring,
                **{name: frozenset(names) for name, names in orjson.loads(bytes(row.held)).items()},
                confirmed_ms=row.confirmed_ms,
                source=row.source,
                reason=row.reason,
                number=row.number,
            )
            for row in rows
        ]

    def confirm(self, group: Confirmed) -> Confirmed:
        """Keep a group; what was confirmed before of the same ring is taken back, for this one counts.

        Args:
            group: The group.

        Returns:
            It, with its number.

        Raises:
            StoreUnavailable: If it cannot be kept; nothing has changed then.
        """
        before = [old.number for old in same_as(self.active(), group.ring, group.members)]
        held = {name: sorted(getattr(group, name)) for name in ("members", "known_bad", "evidence")}
        try:
            with self._database.transaction() as connection:
                _withdraw(connection, before, group.confirmed_ms, group.source)
                number = connection.execute(
                    insert(BENIGN_GROUPS)
                    .values(
                        ring=group.ring,
                        held=orjson.dumps(held),
                        source=group.source,
                        reason=group.reason,
                        confirmed_ms=group.confirmed_ms,
                    )
                    .returning(_C.number)
                ).scalar_one()
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return replace(group, number=number)

    def withdraw(self, ring: str, members: Collection[str], source: str) -> int:
        """Take back that a ring is benign.

        Args:
            ring: Its id.
            members: Account ids of its members.
            source: Who takes it back.

        Returns:
            How many confirmed groups were taken back; 0 if nobody called it benign.

        Raises:
            StoreUnavailable: If the store cannot be used; nothing has changed then.
        """
        numbers = [group.number for group in same_as(self.active(), ring, members)]
        try:
            with self._database.transaction() as connection:
                _withdraw(connection, numbers, now_ms(), source)
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return len(numbers)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(self._database.place, self._database.problem(error), _REMEDY)


def confirmed_now(
    ring: str,
    members: Iterable[str],
    known_bad: Iterable[str],
    evidence: Iterable[dict[str, Any]],
    *,
    source: str,
    reason: str | None,
) -> Confirmed:
    """A ring as a person confirms it at this moment.

    Args:
        ring: Its id.
        members: Account ids of its members.
        known_bad: Those of them that are confirmed bad.
        evidence: Its pieces of evidence.
        source: Who says so.
        reason: Why.

    Returns:
        The group, not kept yet.
    """
    return Confirmed(
        ring,
        frozenset(members),
        frozenset(known_bad),
        frozenset(kinds_of(evidence)),
        now_ms(),
        source,
        reason,
    )


def same_as(groups: Iterable[Confirmed], ring: str, members: Collection[str]) -> list[Confirmed]:
    """The confirmed groups that a ring is.

    Args:
        groups: The groups.
        ring: Id of the ring.
        members: Account ids of its members.

    Returns:
        Those that have its id or most of its members.
    """
    return [group for group in groups if matched([group], {ring: members})]


def _withdraw(connection: Connection, numbers: list[int], at_ms: int, source: str) -> None:
    if numbers:
        connection.execute(
            update(BENIGN_GROUPS)
            .where(_C.number.in_(numbers), _C.withdrawn_ms.is_(None))
            .values(withdrawn_ms=at_ms, withdrawn_by=source)
        )


def now_ms() -> int:
    """Now, milliseconds of Unix time."""
    return time.time_ns() // 1_000_000
