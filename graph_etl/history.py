"""What was in use when: one line for each time that a workspace switched.

A switch is written here first and then to ``current.json``, which alone says what holds. Both carry the
number of the switch, so that one that was killed in between is known not to have happened.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Publication:
    """One switch of a workspace.

    Attributes:
        number: 1 for the first, then one more each.
        at_ms: When, by the machine's clock.
        before: What was in use before, by kind.
        after: What was in use from then on, by kind.
        rollback: The kind that went back to what it was earlier; None for a step forward.
    """

    number: int
    at_ms: int
    before: dict[str, str | None]
    after: dict[str, str | None]
    rollback: str | None = None


def read_history(path: Path, last: int | None) -> list[Publication]:
    """Read the switches that came into effect.

    Args:
        path: The file.
        last: Number of the last one in effect; None: all that are whole.

    Returns:
        The switches, the oldest first.
    """
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            words: dict[str, Any] = json.loads(line)
            publication = Publication(**words)
        except (ValueError, TypeError):  # a write that was cut off
            break
        if last is not None and publication.number > last:
            break
        found.append(publication)
    return found


def write_history(path: Path, publications: Sequence[Publication], added: Publication) -> None:
    """Add a switch; what never came into effect is cut off.

    Args:
        path: The file.
        publications: The switches in effect, as read.
        added: The new one.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b") as stream:
        in_effect = stream.read().splitlines(keepends=True)[: len(publications)]
        stream.truncate(sum(map(len, in_effect)))
        stream.seek(0, os.SEEK_END)
        stream.write((json.dumps(asdict(added), sort_keys=True) + "\n").encode())
        stream.flush()
        os.fsync(stream.fileno())


def earlier(publications: Sequence[Publication], kind: str) -> str | None:
    """What was in use before the present one, rollbacks undone.

    Args:
        publications: The switches in effect.
        kind: ``snapshot``, ``bundle`` or ``rings``.

    Returns:
        Its id; None if there was none before.
    """
    path: list[str | None] = []
    for publication in publications:
        before, after = publication.before.get(kind), publication.after.get(kind)
        if not path:
            path.append(before)
        if publication.rollback == kind and after in path:
            while path[-1] != after:
                path.pop()
        elif after != path[-1]:
            path.append(after)
    return next((identity for identity in reversed(path[:-1]) if identity is not None), None)
