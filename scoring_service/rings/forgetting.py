"""Takes a forgotten account out of the registry of benign groups."""

from collections.abc import Callable, Collection

import orjson
from sqlalchemy import Connection, select, update

from scoring_service.database.tables import BENIGN_GROUPS


def forget_member(
    connection: Connection, names: Collection[str], tombstone: str, clean: Callable[[str], str]
) -> int:
    """Take an account out of all groups, also of those that were taken back.

    Args:
        connection: A transaction that writes.
        names: Under what the account is known.
        tombstone: What stands for it from now on.
        clean: Takes the account out of a text.

    Returns:
        How many groups named it.
    """
    changed = 0
    for row in connection.execute(select(BENIGN_GROUPS)).all():
        held = orjson.loads(bytes(row.held))
        # The tombstone keeps the group's size, which tells how many new accounts make a change.
        left = {
            name: sorted({tombstone if said in names else said for said in values})
            for name, values in held.items()
        }
        reason = None if row.reason is None else clean(row.reason)
        if (left, reason) != (held, row.reason):
            changed += 1
            connection.execute(
                update(BENIGN_GROUPS)
                .where(BENIGN_GROUPS.c.number == row.number)
                .values(held=orjson.dumps(left), reason=reason)
            )
    return changed
