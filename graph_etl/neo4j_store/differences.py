"""What a check of a database found: what was compared, what differs, in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graph_etl.neo4j_store.cells import add_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES: Final = 10
"""Differences of one label or type that are named; all are counted."""

_WORDS: Final = {
    "missing": "is not in the database",
    "extra": "is in the database, not in the snapshot",
    "doubled": "is in the database more than once",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is otherwise in the database than in the snapshot.

    Attributes:
        sort: ``state``, ``schema``, ``node`` or ``relationship``.
        where: Label or relationship type; name of the constraint or index.
        what: ``missing``, ``extra``, ``doubled`` or ``changed``; for the state ``empty``, ``loading`` or
            ``snapshot``.
        subject: Which one: ``Device 3f…``, ``(Account 17)-[USED]->(Device 3f…)``.
        property: The property that differs, ``:Label`` for a label; None if it is not about one.
        expected: Its value in the snapshot; None: absent.
        found: Its value in the database; None: absent.
    """

    sort: str
    where: str
    what: str
    subject: str
    property: str | None = None
    expected: Any = None
    found: Any = None

    def __str__(self) -> str:
        if self.sort == "schema":
            return f"{self.subject} is missing or not in use; `ringwatch neo4j load` creates it"
        if self.property is None:
            return f"{self.subject} {_WORDS[self.what]}" if self.what in _WORDS else self.subject
        return f"{self.subject}: {self.property} is {_shown(self.found)}, should be {_shown(self.expected)}"


@dataclass(slots=True)
class Comparison:
    """Nodes of one label, or relationships of one type, on both sides.

    Attributes:
        sort: ``node`` or ``relationship``.
        name: The label or type.
        in_snapshot: How many the snapshot has.
        in_database: How many the database has.
        missing: How many are not in the database.
        extra: How many are not in the snapshot.
        doubled: How many are in the database besides one that says the same pair or key.
        changed: How many have another property or lack a label.
        followed: How many follow the journal beyond the snapshot, and were not compared.
        other_in_degree: Nodes that more or fewer of these relationships lead to.
        other_out_degree: Nodes that more or fewer of these relationships start from.
        snapshot_hash: Sum of the hashes of all rows, ``uint64[2]`` as one number, whatever their order.
        database_hash: The same of the database.
        examples: The first differences.
    """

    sort: str
    name: str
    in_snapshot: int = 0
    in_database: int = 0
    missing: int = 0
    extra: int = 0
    doubled: int = 0
    changed: int = 0
    followed: int = 0
    other_in_degree: int = 0
    other_out_degree: int = 0
    snapshot_hash: int = 0
    database_hash: int = 0
    examples: list[Difference] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many differ in any way."""
        return self.missing + self.extra + self.doubled + self.changed

    @property
    def room(self) -> int:
        """How many more examples are named."""
        return EXAMPLES - len(self.examples)

    def add_hashes(self, snapshot: int, database: int) -> None:
        """Add hashes of more rows to those of both sides."""
        self.snapshot_hash = add_hashes(self.snapshot_hash, snapshot)
        self.database_hash = add_hashes(self.database_hash, database)

    def name_one(self, what: str, subject: str, **values: Any) -> None:
        """Keep a difference as an example.

        Args:
            what: As in :class:`Difference`.
            subject: Which one.
            **values: ``property``, ``expected`` and ``found``.
        """
        self.examples.append(Difference(self.sort, self.name, what, subject, **values))


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check found.

    Attributes:
        snapshot: Id of the snapshot.
        comparisons: Labels, then relationship types; empty if the database holds another snapshot.
        differences: Examples of what differs, the state and the schema first; empty if nothing does.
        notes: What is worth knowing and no difference.
        seconds: How long it took.
    """

    snapshot: str
    comparisons: Sequence[Comparison]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether the database holds the snapshot, all of it and nothing else."""
        return not self.differences

    @property
    def differing(self) -> int:
        """How many nodes and relationships differ."""
        return sum(one.differing for one in self.comparisons)


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)
